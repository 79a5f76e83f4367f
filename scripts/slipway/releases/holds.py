"""Holds: an environment that stays as it is until somebody lifts the hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from slipway.code.versions import who
from slipway.errors import DamagedError, ForeignError, SlipwayError
from slipway.records.record_files import read_record
from slipway.records.release_records import Hold, Lift
from slipway.records.store import Records
from slipway.releases.lookup import environment_of
from slipway.storage.objects import ObjectStore

_FOLDER = "holds"
_HOLD = re.compile(rf"{_FOLDER}/(\d{{6,}})\.json")


class Holds:
    """The holds of one environment, written once, each with its end next to it."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._store: ObjectStore = records.store

    def current(self) -> Hold | None:
        """The hold that is in force, None when there is none.

        Raises:
            DamagedError: there is one, and its record cannot be read.
        """
        number = self._in_force()
        return None if number is None else self._read(number)

    def _read(self, number: int) -> Hold:
        target = self._records.environment.name
        try:
            return read_record(self._store, Hold, _key(number), release=number, target=target)
        except ForeignError:
            raise
        except DamagedError as error:
            raise DamagedError(
                error.what, error.why, f"{error.fix}; slipway hold --lift ends it as it is"
            ) from None

    def _in_force(self) -> int | None:
        """The number of the hold that is in force, whether its record can be read or not."""
        keys = [item.key for item in self._store.entries(_FOLDER)]
        return next(
            (
                int(named[1])
                for key in reversed(keys)
                if (named := _HOLD.fullmatch(key)) and _lifted(key) not in keys
            ),
            None,
        )

    def place_hold(self, hold: Hold) -> bool:
        """Put the environment on hold; False when it was already, which stays as it is, damaged or not."""
        if self._in_force() is not None:
            return False
        self._store.create(_key(hold.release), hold.model_dump_json(indent=1).encode())
        return True

    def lift(self, lift: Lift) -> tuple[int, Hold | None, DamagedError | None]:
        """End the hold that is in force, whether its record can be read or not.

        Returns:
            The release that placed it, which its name tells; what was recorded of it, or why that cannot be read.

        Raises:
            ForeignError: it is of another version or environment, whose slipway has to lift it.
            SlipwayError: there is none.
        """
        number = self._in_force()
        if number is None:
            raise SlipwayError("There is no hold to lift", fix="Nothing needs to be done")
        hold, unknown = None, None
        try:
            hold = self._read(number)
        except ForeignError:
            raise
        except DamagedError as error:
            unknown = error
        self._store.create(_lifted(_key(number)), lift.model_dump_json(indent=1).encode())
        return number, hold, unknown

    def refuse(self, what: str) -> None:
        """Refuse something while a hold is in force.

        Raises:
            SlipwayError: there is one.
        """
        if hold := self.current():
            raise SlipwayError(
                f"{what} is refused",
                f"{hold.target} is on hold since {hold.placed_at:%Y-%m-%d %H:%M} UTC, by {hold.who}: {hold.reason}",
                "Lift it with slipway hold --lift",
            )


def _key(release: int) -> str:
    return f"{_FOLDER}/{release:06d}.json"


def _lifted(key: str) -> str:
    return key.removesuffix(".json") + ".lifted"


def current_hold(project_dir: Path | None, target: str | None) -> Hold | None:
    """The hold of an environment, None when runs publish."""
    return Holds(Records(environment_of(project_dir, target))).current()


def lift_hold(project_dir: Path | None, target: str | None) -> tuple[int, Hold | None, DamagedError | None]:
    """End the hold of an environment; the same as ``Holds.lift``."""
    holds = Holds(Records(environment_of(project_dir, target)))
    return holds.lift(Lift(lifted_at=datetime.now(UTC), who=who()))
