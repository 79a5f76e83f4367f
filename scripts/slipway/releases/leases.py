"""Leases of an environment: taken before a run looks at anything, renewed while it lives, released at its end.

One object for each run lies next to the records, under ``leases/``. Who comes first is settled by plain writes and
listings (``Lease.comes_before``), so that stores without conditional writes will do.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from slipway import processes
from slipway.code import versions
from slipway.errors import UnavailableError
from slipway.records.store import Records
from slipway.releases.lease_rules import RENEWED, Lease, Standing, next_number, refusal, standing, waits_for
from slipway.storage.objects import ObjectInfo

_FOLDER = "leases"
_LOOKS = (0.1, 1.0)  # seconds between two looks at the others: at first, and at last
_CHOOSING = 5.0  # seconds that one who is looking for its place is waited for in any case


@dataclass(frozen=True)
class Found:
    """A lease that is there, and what it is worth."""

    lease: Lease
    standing: Standing


class Leases:
    """The leases of one environment."""

    def __init__(self, records: Records) -> None:
        self._store = records.store
        self._observed: dict[str, tuple[ObjectInfo, float, Lease]] = {}

    def found(self, but: str = "") -> list[Found]:
        """Every lease that was not released, but that of one run, in the order of run ids.

        Raises:
            UnavailableError: the store cannot be read.
        """
        entries = [
            item
            for item in self._store.entries(_FOLDER)
            if item.size and item.key.endswith(".json") and item.key != _key(but)
        ]
        if not entries:
            return []
        now = self._store.clock()
        return [found for item in entries if (found := self._look(item, now))]

    def take(
        self,
        run_id: str,
        tables: list[str] | None,
        *,
        wait: float,
        what: str,
        tell: Callable[[str], None] = lambda _: None,
    ) -> HeldLease:
        """Say that a run is under way, after those before it that may publish the same tables.

        Args:
            run_id: the run.
            tables: ``layer.table`` of all that it may publish; None for every table.
            wait: seconds to wait for others.
            what: what is refused if they take longer, for the message.
            tell: gets the run that it waits for.

        Raises:
            ConflictError: others took longer.
            UnavailableError: the store cannot be used.
        """
        if not self._store.is_write_once:
            tables = None  # not even release numbers can be distinguished there: one run after the other
        lease = Lease(
            run_id=run_id,
            who=versions.who(),
            host=versions.host(),
            place=processes.place(),
            pid=os.getpid(),
            process=processes.started(),
            since=datetime.now(UTC),
            tables=sorted(tables) if tables is not None else None,
        )
        held = HeldLease(self, lease)
        try:
            held.write()
            held.lease = lease.model_copy(update={"number": next_number(self._live(run_id))})
            held.write()
            held.keep()
            self._wait(held.lease, wait, what, tell)
        except BaseException:
            held.release()
            raise
        return held

    def write(self, lease: Lease) -> None:
        """Write a lease, for the first time or again."""
        self._store.replace(_key(lease.run_id), lease.model_dump_json(indent=1).encode())

    def is_there(self, run_id: str) -> bool:
        """Whether a lease was not released, and not taken over."""
        try:
            return bool(self._store.read(_key(run_id)))
        except FileNotFoundError:
            return False

    def remove(self, run_id: str) -> None:
        """End a lease: emptied first, because not everybody may delete."""
        self._store.replace(_key(run_id), b"")
        with suppress(UnavailableError):
            self._store.delete([_key(run_id)])

    def _live(self, run_id: str) -> list[Lease]:
        """Leases of others that count; those that do not are taken away."""
        live = []
        for found in self.found(but=run_id):
            if found.standing is Standing.LIVE:
                live.append(found.lease)
            else:
                self.remove(found.lease.run_id)
        return live

    def _wait(self, mine: Lease, wait: float, what: str, tell: Callable[[str], None]) -> None:
        began, pause, named = time.monotonic(), _LOOKS[0], ""
        while before := [other for other in self._live(mine.run_id) if other.comes_before(mine)]:
            waited = time.monotonic() - began
            if waited >= (wait if all(other.number for other in before) else max(wait, _CHOOSING)):
                raise refusal(mine, before, what)
            if before[0].number and before[0].run_id != named:
                named = before[0].run_id
                tell(waits_for(mine, before[0]))
            time.sleep(pause)
            pause = min(pause * 1.5, _LOOKS[1])

    def _look(self, item: ObjectInfo, now: datetime) -> Found | None:
        if item.key not in self._observed or self._observed[item.key][0] != item:
            try:
                read = Lease.model_validate_json(self._store.read(item.key))
            except (FileNotFoundError, ValidationError):  # released just now, or of another version
                return None
            self._observed[item.key] = (item, time.monotonic(), read)
        _, since, lease = self._observed[item.key]
        here = bool(lease.place) and lease.place == processes.place()
        gone = here and processes.started(lease.pid) != lease.process
        age, watched = (now - item.modified).total_seconds(), time.monotonic() - since
        return Found(lease, standing(is_gone=gone, age=age, watched=watched))


class HeldLease:
    """A lease of this process, renewed in the background until it is released."""

    def __init__(self, leases: Leases, lease: Lease) -> None:
        self._leases, self.lease = leases, lease
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self) -> None:
        """Write it, for the first time or again."""
        self._leases.write(self.lease)

    def keep(self) -> None:
        """Begin to renew it."""
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """End it; done once, and whatever happens to the store meanwhile: a lease that is left expires."""
        if self._over.is_set():
            return
        self._over.set()
        if self._thread:
            self._thread.join()
        with suppress(UnavailableError, OSError):
            if self._leases.is_there(self.lease.run_id):
                self._leases.remove(self.lease.run_id)

    def _renew(self) -> None:
        while not self._over.wait(RENEWED):
            with suppress(UnavailableError, OSError):  # the next time may do
                if not self._leases.is_there(self.lease.run_id):
                    return  # it was taken over while this process was paused: what it publishes is decided by the catalog
                self.write()


def _key(run_id: str) -> str:
    return f"{_FOLDER}/{run_id}.json"
