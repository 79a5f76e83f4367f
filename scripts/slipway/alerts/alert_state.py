"""The state of alerts in the warehouse, ``_slipway/alerts/<number>.json``: each version is written once, and the newest counts.

Whoever changes it writes the next number; if another process has written that number meanwhile, the change is made again on top of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from slipway.alerts.causes import State
from slipway.errors import UnavailableError
from slipway.records.record_files import read_record
from slipway.storage.objects import ObjectStore

_FOLDER = "alerts"
_NAMED = re.compile(rf"{_FOLDER}/(\d{{6,}})\.json")
_ATTEMPTS = 20
_KEPT = timedelta(days=1)
"""A version is removed when it is older: nobody is still about to write the number after it."""


class AlertState:
    """The state of one environment."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self) -> State:
        """The state as it is now.

        Raises:
            DamagedError: its record cannot be read.
            UnavailableError: the store does not answer.
        """
        return self._read()[1]

    def change(self, how: Callable[[State], State]) -> State:
        """Change the state; nothing is written where it stays the same.

        Args:
            how: makes the new state of the present one, and may be called several times.

        Raises:
            DamagedError: the record cannot be read.
            UnavailableError: the store cannot be written, or others change the state all the time.
        """
        for _ in range(_ATTEMPTS):
            number, before = self._read()
            after = how(before)
            if after == before:
                return after
            try:
                self._store.create(_key(number + 1), after.model_dump_json(indent=1).encode())
            except FileExistsError:
                continue
            self._remove_old()
            return after
        raise UnavailableError(
            f"{self._store.root}/{_FOLDER} cannot be written",
            "other processes change it all the time",
            "Try again",
        )

    def _read(self) -> tuple[int, State]:
        for _ in range(_ATTEMPTS):
            number = max(self._numbers(), default=0)
            if not number:
                return 0, State()
            with suppress(FileNotFoundError):  # removed meanwhile, because there is a newer one
                return number, read_record(self._store, State, _key(number))
        raise UnavailableError(
            f"{self._store.root}/{_FOLDER} cannot be read", "its files change all the time", "Try again"
        )

    def _numbers(self) -> list[int]:
        keys = (item.key for item in self._store.entries(_FOLDER))
        return [int(named[1]) for key in keys if (named := _NAMED.fullmatch(key))]

    def _remove_old(self) -> None:
        """Remove earlier versions; a role that may not delete leaves them."""
        with suppress(UnavailableError, RuntimeError, OSError):
            found = [item for item in self._store.entries(_FOLDER) if _NAMED.fullmatch(item.key)]
            newest = max((item.key for item in found), key=_number, default="")
            before = self._store.clock() - _KEPT
            self._store.delete([one.key for one in found if one.modified < before and one.key != newest])


def _key(number: int) -> str:
    return f"{_FOLDER}/{number:06d}.json"


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].partition(".")[0])
