"""Unit tests whose rows have columns that the inputs or the model do not have, which dbt finds only when it runs them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from slipway.dbt.nodes import find, table_of
from slipway.dbt.stubs import Stubs

_TEXT = re.compile(r"""['"]([^'"]+)['"]""")


def unknown_columns(manifest: Any, stubs: Stubs) -> Iterator[tuple[Any, str]]:
    """Unit tests with columns that are not there, a sentence each with the columns that there are.

    Rows that are given as SQL are not looked at, nor what is given for a table whose columns are not known.

    Args:
        manifest: dbt's.
        stubs: the tables, with the columns of every node that was checked.
    """
    for test in manifest.unit_tests.values():
        tested = manifest.nodes.get(next(iter(test.depends_on.nodes), ""))
        if tested is None:
            continue
        parts = [(given.rows, _input(manifest, tested, str(given.input)), "is given") for given in test.given]
        for rows, node, verb in [*parts, (test.expect.rows, tested, "expects")]:
            there = stubs.columns(table_of(node)) if node is not None else None
            if node is None or there is None or not isinstance(rows, list):
                continue
            if unknown := _unknown(rows, there):
                of = f"{node.name}" if verb == "expects" else f"its input {node.name}"
                yield (
                    test,
                    f"Unit test {test.name} {verb} {', '.join(unknown)}, which {of} does not have. Its columns are {', '.join(there)}.",
                )


def _input(manifest: Any, tested: Any, text: str) -> Any:
    """The node or source that ``ref(…)``, ``source(…)`` or ``this`` leads to; None where that is not certain."""
    if text.strip() == "this":
        return tested
    names = _TEXT.findall(text)
    read = [find(manifest, name) for name in tested.depends_on_nodes]
    fitting = [one for one in read if one is not None and names and one.name == names[-1]]
    if text.strip().startswith("source"):
        fitting = [one for one in fitting if getattr(one, "source_name", None) == names[0]]
    return fitting[0] if len(fitting) == 1 else None


def _unknown(rows: Iterable[Mapping[str, Any]], there: Collection[str]) -> list[str]:
    known = {name.lower() for name in there}
    return list(dict.fromkeys(name for row in rows for name in row if name.lower() not in known))
