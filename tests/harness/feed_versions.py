"""Versions of a feed's contract, and files that are sent while they hold, as a property test draws them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import EXTRA, Contract

COLUMNS = ("id", "kg", "note", "Neu 1")
TYPES: dict[str, dict[str, Any]] = {
    "id": {"logicalType": "string", "required": True},
    "kg": {"logicalType": "number", "physicalType": "decimal(6, 2)"},
    "note": {"logicalType": "integer"},
    "Neu 1": {"logicalType": "string"},
}


def contract_text(
    names: Sequence[str],
    modes: dict[str, str],
    *,
    optional: Sequence[str] = COLUMNS[1:],
    kind: str = "csv",
    header: str = "exact",
) -> str:
    """A contract of the feed ``orders``, as YAML.

    Args:
        names: of its columns.
        modes: its ``schemaContract``.
        optional: columns that a file may lack.
        kind: of its files.
        header: how their names are compared.
    """
    properties = [
        {"name": name, **TYPES[name]}
        | ({"customProperties": [{"property": "optional", "value": True}]} if name in optional else {})
        for name in names
    ]
    server = {"server": "landing", "type": "local", "path": "orders/*", "format": kind}
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "orders",
        "version": "1.0.0",
        "customProperties": [{"property": "schemaContract", "value": modes}],
        "servers": [server | {"customProperties": [{"property": "header", "value": header}]}],
        "schema": [{"name": "orders", "properties": properties}],
    }
    return yaml.safe_dump(document, sort_keys=False)


def contract(
    names: Sequence[str], modes: dict[str, str], *, optional: Sequence[str] = COLUMNS[1:], **server: str
) -> Contract:
    """The same, read."""
    text = contract_text(names, modes, optional=optional, **server)
    found, problems = read_contract(text, "orders.odcs.yaml")
    assert problems == [], problems
    assert found is not None
    return found


@dataclass(frozen=True)
class Version:
    """A version of the contract, and what is sent while it holds."""

    names: tuple[str, ...]
    optional: tuple[str, ...]
    columns: str
    data_type: str
    files: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...]
    is_anew: bool

    @property
    def text(self) -> str:
        """The contract, as YAML."""
        modes = {"columns": self.columns, "data_type": self.data_type}
        return contract_text(self.names, modes, optional=self.optional)

    @property
    def contract(self) -> Contract:
        """The contract."""
        modes = {"columns": self.columns, "data_type": self.data_type}
        return contract(self.names, modes, optional=self.optional)

    def takes(self, header: Sequence[str]) -> bool:
        """Whether files with a header are accepted."""
        missing = set(self.names) - set(header) - set(self.optional)
        return not missing and (self.columns != "freeze" or set(header) <= set(self.names))


def some_of(names: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(names)).map(lambda chosen: tuple(one for one in names if one in chosen))


VALUES = st.sampled_from(["", "", "1", "2.5", "x", "ü \\ {}"])
FILES = some_of(COLUMNS[1:]).flatmap(
    lambda names: st.tuples(
        st.just(("id", *names)),
        st.lists(st.tuples(*[VALUES] * len(names)), min_size=1, max_size=3).map(tuple),
    )
)
VERSIONS = st.builds(
    Version,
    names=some_of(COLUMNS[1:]).map(lambda names: ("id", *names)),
    optional=some_of(COLUMNS[1:]),
    columns=st.sampled_from(["freeze", "evolve", "discard_row", "discard_value"]),
    data_type=st.sampled_from(["discard_row", "discard_value", "freeze"]),
    files=st.lists(FILES, max_size=2).map(tuple),
    is_anew=st.booleans(),
)


@dataclass
class Sent:
    """A file as it was written: its rows as names to values, without those that are empty."""

    header: Sequence[str]
    rows: list[dict[str, str]]
    is_accepted: bool = False

    @classmethod
    def of(cls, number: int, header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, Sent]:
        """The content of a file, and what it says; its last row repeats the first, and other files may have it, too."""
        lines = [(str(number) if len(header) == 1 else "0", *row) for row in (*rows, *rows[:1])]
        text = "\n".join(",".join(line) for line in [header, *lines]) + "\n"
        text += "\n" * (0 if len(header) == 1 else number)  # blank lines at the end are no rows
        values = [{name: value for name, value in zip(header, line, strict=True) if value} for line in lines]
        return text, cls(header, values)

    def check(self, row: dict[str, Any]) -> None:
        """Each cell of a row of raw is in its column, or in the one for the others, and nothing else is."""
        own = {name: value for name, value in row.items() if value and not name.startswith("_")}
        others = json.loads(row.get(EXTRA) or "{}")
        assert not own.keys() & others.keys()
        assert own | others == self.rows[row["_source_line"] - 2]
