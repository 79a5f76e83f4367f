"""Holds: an environment that is to stay as it is until somebody lifts the hold."""

from __future__ import annotations

from slipway.adapters.objects import ObjectStore
from slipway.adapters.records import Records
from slipway.domain.errors import SlipwayError
from slipway.domain.manifest import Hold, Lift

_FOLDER = "holds"


class Holds:
    """The holds of one environment, written once, each with its end beside it.

    Args:
        records: the environment's records.
    """

    def __init__(self, records: Records) -> None:
        self._store: ObjectStore = records.store

    def current(self) -> Hold | None:
        """The hold that is in force, None when there is none."""
        keys = [item.key for item in self._store.entries(_FOLDER)]
        for key in reversed(keys):
            if key.endswith(".json") and _lifted(key) not in keys:
                return Hold.model_validate_json(self._store.read(key))
        return None

    def place(self, hold: Hold) -> bool:
        """Put the environment on hold; False when it was already, which stays as it is."""
        if self.current() is not None:
            return False
        self._store.create(_key(hold.release), hold.model_dump_json(indent=1).encode())
        return True

    def lift(self, lift: Lift) -> Hold:
        """End the hold that is in force, and return it.

        Raises:
            SlipwayError: there is none.
        """
        hold = self.current()
        if hold is None:
            raise SlipwayError("there is no hold to lift", fix="nothing needs to be done")
        self._store.create(_lifted(_key(hold.release)), lift.model_dump_json(indent=1).encode())
        return hold

    def refuse(self, what: str) -> None:
        """Refuse something while a hold is in force.

        Raises:
            SlipwayError: there is one.
        """
        if hold := self.current():
            raise SlipwayError(
                f"{what} is refused",
                f"{hold.target} is on hold since {hold.placed_at:%Y-%m-%d %H:%M} UTC, by {hold.who}: {hold.reason}",
                "lift it with slipway hold --lift",
            )


def _key(release: int) -> str:
    return f"{_FOLDER}/{release:06d}.json"


def _lifted(key: str) -> str:
    return key.removesuffix(".json") + ".lifted"
