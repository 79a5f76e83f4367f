"""The lineage of what a change touches, as a Mermaid diagram that GitHub and GitLab draw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from slipway.comparison.results import TableComparison, Verdict, fails
from slipway.releases.rollback_rules import Exposure

MOST = 30
"""Tables and exposures that are drawn: more of them nobody can read, and GitHub draws no diagram with too much text."""
_CLASSES = (
    "classDef failing fill:#fdd,stroke:#b00,color:#000",
    "classDef declared fill:#ffd,stroke:#a80,color:#000",
    "classDef same fill:#dfd,stroke:#080,color:#000",
    "classDef reader fill:#def,stroke:#06c,color:#000",
)


def diagram(
    tables: Sequence[TableComparison],
    parents: Mapping[str, Collection[str]],
    exposures: Sequence[Exposure],
) -> list[str]:
    """The lines of a diagram: edited tables with a thick frame, and what they lead to.

    Args:
        tables: that were compared.
        parents: ``layer.table`` to the tables that it reads.
        exposures: that read any of them.
    """
    rank = {Verdict.IDENTICAL: 2, Verdict.NO_EVIDENCE: 2}
    in_order = sorted(tables, key=lambda one: (not one.edited, rank.get(one.verdict, 1), one.name))
    drawn = in_order[: MOST - min(len(exposures), MOST // 3)]
    readers = exposures[: MOST - len(drawn)]
    ids = {one.name: f"t{number}" for number, one in enumerate(drawn)}
    lines = ["flowchart LR"]
    for one in drawn:
        shape = f'[["{_label(one.name)}"]]' if one.edited else f'["{_label(one.name)}"]'
        lines.append(f"    {ids[one.name]}{shape}:::{_class_of(one)}")
    for one in drawn:
        known = sorted(parent for parent in parents.get(one.name, ()) if parent in ids)
        lines += [f"    {ids[parent]} --> {ids[one.name]}" for parent in known]
    for number, reader in enumerate(readers):
        lines.append(f'    e{number}(["{_label(f"{reader.kind} {reader.name}")}"]):::reader')
        lines += [f"    {ids[name]} --> e{number}" for name in reader.tables if name in ids]
    if left := len(tables) + len(exposures) - len(drawn) - len(readers):
        lines.append(f'    more["{left} more"]')
    return [*lines, *(f"    {one}" for one in _CLASSES)]


def _class_of(table: TableComparison) -> str:
    if fails(table):
        return "failing"
    return "same" if table.verdict in (Verdict.IDENTICAL, Verdict.NO_EVIDENCE) else "declared"


def _label(text: str) -> str:
    """A text in quotes, of which Mermaid reads nothing as its own or as HTML."""
    return "".join(sign if sign.isalnum() or sign in " ._-" else f"#{ord(sign)};" for sign in text[:60])
