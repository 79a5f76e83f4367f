"""What a table remembers of the run that made it: node key and consumed inputs, bound to the snapshot.

It stands in the snapshot's summary, and in a table property for runs that changed no row. The property
names the snapshot it belongs to, so after a rollback it is not believed; a compaction of that snapshot shows the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from pyiceberg.table import Table

from slipway.adapters.iceberg.content import content_of

NODE_KEY = "slipway.node-key"
INPUTS = "slipway.inputs"
STATE = "slipway.state"


@dataclass(frozen=True)
class TableState:
    """Node key and inputs (``schema.table`` to snapshot id or landing key) of a table's content.

    ``batches`` are the windows of event time that a microbatch model built with this key.
    """

    node_key: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    batches: tuple[tuple[str, str], ...] = ()

    def summary(self) -> dict[str, str]:
        """Properties for the snapshot's summary."""
        return {NODE_KEY: self.node_key, INPUTS: json.dumps(self.inputs, sort_keys=True)}

    def table_property(self, snapshot_id: int) -> dict[str, str]:
        """The table property that confirms this state for a snapshot that is already there."""
        value: dict[str, object] = {
            "snapshot": str(snapshot_id),
            "node_key": self.node_key,
            "inputs": self.inputs,
        }
        if self.batches:
            value["batches"] = self.batches
        return {STATE: json.dumps(value, sort_keys=True)}


def read_state(table: Table | None) -> TableState:
    """The state of a table's current snapshot, empty if another tool wrote it."""
    current = table.current_snapshot() if table else None
    if table is None or current is None:
        return TableState()
    confirmed = json.loads(table.properties.get(STATE, "{}"))
    if confirmed.get("snapshot") == content_of(current):
        batches = tuple((start, end) for start, end in confirmed.get("batches", ()))
        return TableState(confirmed["node_key"], confirmed["inputs"], batches)
    summary = current.summary.additional_properties if current.summary else {}
    return TableState(summary.get(NODE_KEY, ""), json.loads(summary.get(INPUTS, "{}")))
