"""Replay: whether a run that is built again from what it recorded comes to the same tables."""

from __future__ import annotations

from enum import StrEnum

from slipway.comparison.results import Row, TableComparison, Verdict
from slipway.records.node_results import Node
from slipway.records.record import Record

CHANGED = "its table does not hold the rows any more that the run recorded"
GONE = "its table is not kept any more: compared with the digest that the run recorded"


class ReplayVerdict(StrEnum):
    """What a replay says about a table."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within tolerance"
    DIVERGED = "diverged"
    INPUT_EXPIRED = "input expired"


class ReplayedTable(Record):
    """One table of a run, and what its replay came to.

    Args:
        table: ``layer.table``.
        verdict: the verdict.
        rows: rows that the run recorded.
        recorded: content digest of the run.
        replayed: content digest of the replay, None when it was not built.
        why: the first rows that differ, or what is missing.
    """

    table: str
    verdict: ReplayVerdict
    rows: int | None
    recorded: str | None
    replayed: str | None = None
    why: str = ""


class ReplayReport(Record):
    """A replay: its tables, and what was not the same around it (versions of the engine, of packages)."""

    run_id: str
    target: str
    commit: str
    tables: list[ReplayedTable]
    differences: list[str]

    @property
    def passed(self) -> bool:
        """Whether every table is what it was."""
        good = (ReplayVerdict.IDENTICAL, ReplayVerdict.WITHIN_TOLERANCE)
        return all(table.verdict in good for table in self.tables)


def same_digest(recorded: Node, replayed: Node | None) -> bool:
    """Whether the content is known to be the same without looking at it."""
    return replayed is not None and recorded.digest is not None and recorded.digest == replayed.digest


def judge_replay(
    recorded: Node, replayed: Node | None, comparison: TableComparison | None, held: str | None
) -> ReplayedTable:
    """The verdict on one table: by the rows that it holds today, whatever was recorded of them.

    Args:
        recorded: what the run wrote down.
        replayed: what the replay wrote down, None when it did not build the table.
        comparison: of the rows, where the digests are not the same.
        held: digest of the rows that the run's table holds today, None where it is not kept any more.
    """
    found = ReplayedTable(
        table=recorded.table or recorded.unique_id,
        verdict=ReplayVerdict.IDENTICAL,
        rows=recorded.rows_after,
        recorded=recorded.digest,
        replayed=replayed.digest if replayed else None,
    )
    differs = held != recorded.digest and _same_algorithm(recorded.digest, held)
    changed = GONE if held is None else CHANGED if differs else ""
    recorded = recorded.model_copy(update={"digest": held or recorded.digest})
    if same_digest(recorded, replayed):
        return found.model_copy(update={"why": changed})
    if replayed is None or comparison is None:
        return found.model_copy(update={"verdict": ReplayVerdict.DIVERGED, "why": "it was not built"})
    if comparison.verdict is Verdict.WITHIN_TOLERANCE:
        return found.model_copy(update={"verdict": ReplayVerdict.WITHIN_TOLERANCE})
    if comparison.verdict is Verdict.IDENTICAL and not _same_algorithm(recorded.digest, replayed.digest):
        return found
    detail = [part for part in (changed, _first(comparison)) if part]
    return found.model_copy(update={"verdict": ReplayVerdict.DIVERGED, "why": "; ".join(detail)})


def _same_algorithm(one: str | None, other: str | None) -> bool:
    """Digests of two versions of the engine cannot be compared; then the rows tell."""
    names = {(digest or "").partition(":")[0] for digest in (one, other)}
    return len(names) == 1


def _first(comparison: TableComparison) -> str:
    """The first difference, with the key of the first row that has it."""
    if not comparison.differences:
        return "; ".join(comparison.coverage.notes) or "in lineage columns"
    detail = comparison.differences[0].detail
    if (column := comparison.worst_column) is not None and column.examples:
        example = column.examples[0]
        return f"{detail}; first {_key(example.key)}: {column.name} {example.base} is now {example.head}"
    for rows, word in ((comparison.removed_examples, "missing"), (comparison.added_examples, "new")):
        if rows:
            return f"{detail}; first {word}: {_key(rows[0])}"
    return detail


def _key(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
