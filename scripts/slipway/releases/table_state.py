"""What a table remembers of the run that made it: node key, consumed inputs, and which code made its rows.

A *definition* is everything that shapes a row apart from data and engine: code, macros, variables, and the configuration that has
an effect on rows. A table that is added to keeps rows of the definitions before: then it is *stale*.

It stands in the snapshot's summary, and in a table property for runs that changed no row. The property
names the snapshot it belongs to, so after a rollback it is not believed; a compaction of that snapshot shows the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pyiceberg.table import Table

from slipway.engines.duckdb.request import Remade
from slipway.errors import DamagedError
from slipway.iceberg.metadata_files import summary_of
from slipway.iceberg.snapshots import content_of
from slipway.records.node_results import Definition

UNRECORDED = Definition()
"""The definition of rows that were written before definitions were recorded, or by another program."""

_REMEMBERED = 12  # older ones are known to differ from the present one, which is all that is asked of them


def made_by_after(
    before: Sequence[Definition], now: Definition, *, all_rows: bool, any_rows: bool
) -> tuple[Definition, ...]:
    """What made the rows of a table after a write that made all rows which are there now, or changed any."""
    if all_rows:
        return (now,)
    if not any_rows or any(one.key == now.key for one in before):
        return tuple(before)
    known = before if len(before) < _REMEMBERED else (before[0], *before[2 - _REMEMBERED :])
    return (*known, now)


def others(made_by: Sequence[Definition], key: str | None) -> list[Definition]:
    """The definitions of a table's rows that are not the one with a key."""
    return [one for one in made_by if one.key != key]


def why_stale(other: Sequence[Definition]) -> str:
    """What is to be said of a table with rows of other definitions, without its name; empty for none."""
    if not other:
        return ""
    if not any(one.key for one in other):
        return "it is not recorded which code made its rows"
    known = ", ".join(_named(one) for one in other if one.key)
    more = "" if all(one.key for one in other) else ", and others by code that is not recorded"
    return f"it has rows that were made by other code: {known}{more}"


def _named(one: Definition) -> str:
    commit = (
        f"commit {one.commit[:12]}{' with uncommitted changes' if one.dirty else ''}"
        if one.commit
        else "no commit"
    )
    return f"{commit} (run {one.run_id}, definition {one.key[:8]})"


NODE_KEY = "slipway.node-key"
INPUTS = "slipway.inputs"
DEFINITIONS = "slipway.definitions"
EXPIRED_BEFORE = "slipway.expired-before"
STATE = "slipway.state"


Spans = Mapping[str, tuple[tuple[str, str], ...]]
"""``definition/event time`` to windows of that time, each from its start up to its end."""


@dataclass(frozen=True)
class TableState:
    """Node key and inputs (``schema.table`` to snapshot id or landing key) of a table's content.

    ``batches`` are the windows of event time that a microbatch model built with this key. ``definition`` is the code that
    last ran, ``made_by`` what made the rows that are there, and ``kept`` the declared reason why rows of other code stay.
    ``windows`` are those in which all rows of a microbatch model were made by one definition, whatever the inputs were.
    ``expired_before`` is the cutoff with which a quarantine table was built; None where no row expires.
    """

    node_key: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    batches: tuple[tuple[str, str], ...] = ()
    definition: Definition = UNRECORDED
    made_by: tuple[Definition, ...] = (UNRECORDED,)
    kept: str = ""
    windows: Spans = field(default_factory=dict)
    expired_before: datetime | None = None

    def after(self, remade: Remade) -> TableState:
        """The state after a write, of one whose ``made_by`` is what made the rows before it."""
        made = made_by_after(
            self.made_by, self.definition, all_rows=remade is Remade.ALL, any_rows=remade is not Remade.NONE
        )
        keys = {one.key for one in made}
        return replace(
            self, made_by=made, windows={k: v for k, v in self.windows.items() if k.partition("/")[0] in keys}
        )

    @property
    def stale(self) -> str:
        """Why rows of the table are not what the code makes that last ran; empty if all are, if that is declared, or unrecorded."""
        if self.kept or not self.definition.key:
            return ""
        return why_stale(others(self.made_by, self.definition.key))

    def summary(self) -> dict[str, str]:
        """Properties for the snapshot's summary."""
        stated = {
            NODE_KEY: self.node_key,
            INPUTS: json.dumps(self.inputs, sort_keys=True),
            DEFINITIONS: json.dumps(self._definitions(), sort_keys=True),
        }
        return stated | ({EXPIRED_BEFORE: self.expired_before.isoformat()} if self.expired_before else {})

    def table_property(self, snapshot_id: int) -> dict[str, str]:
        """The table property that confirms this state for a snapshot that is already there."""
        value: dict[str, object] = {
            "snapshot": str(snapshot_id),
            "node_key": self.node_key,
            "inputs": self.inputs,
            "definitions": self._definitions(),
            "expired_before": self.expired_before.isoformat() if self.expired_before else None,
        }
        if self.batches:
            value["batches"] = self.batches
        return {STATE: json.dumps(value, sort_keys=True)}

    def _definitions(self) -> dict[str, Any]:
        stated: dict[str, Any] = {
            "now": self.definition.model_dump(exclude_defaults=True),
            "made": [one.model_dump(exclude_defaults=True) for one in self.made_by],
        }
        stated |= {"kept": self.kept} if self.kept else {}
        return stated | ({"windows": dict(self.windows)} if self.windows else {})


def read_state(table: Table | None) -> TableState:
    """The state of a table's current snapshot, empty if another tool wrote it."""
    current = table.current_snapshot() if table else None
    if table is None or current is None:
        return TableState(made_by=())
    confirmed = json.loads(table.properties.get(STATE, "{}"))
    summary = summary_of(current)
    if confirmed.get("snapshot") == content_of(current):
        batches = tuple((start, end) for start, end in confirmed.get("batches", ()))
        cutoff = _moment(confirmed.get("expired_before", summary.get(EXPIRED_BEFORE)))
        state = TableState(confirmed["node_key"], confirmed["inputs"], batches, expired_before=cutoff)
        return _with_definitions(state, confirmed.get("definitions"))
    state = TableState(
        summary.get(NODE_KEY, ""),
        json.loads(summary.get(INPUTS, "{}")),
        expired_before=_moment(summary.get(EXPIRED_BEFORE)),
    )
    if summary.get("total-records") == "0":
        return replace(state, made_by=())
    return _with_definitions(state, json.loads(summary.get(DEFINITIONS, "null")))


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    found = datetime.fromisoformat(text)
    if found.utcoffset() is None:
        raise DamagedError(
            f"The state of a quarantine table cannot be read: {EXPIRED_BEFORE} is {text}",
            "the time has no time zone, so which moment it means is not known",
            "Build the table again with slipway run --full-refresh --select and its name",
        )
    return found


def _with_definitions(state: TableState, stated: Mapping[str, Any] | None) -> TableState:
    """A state with what is recorded of the code that made the rows; nothing is, of tables that are older than the record."""
    if stated is None:
        return state
    made = tuple(Definition.model_validate(one) for one in stated["made"])
    now = Definition.model_validate(stated["now"])
    windows = {
        key: tuple((start, end) for start, end in spans) for key, spans in stated.get("windows", {}).items()
    }
    return replace(state, definition=now, made_by=made, kept=str(stated.get("kept", "")), windows=windows)
