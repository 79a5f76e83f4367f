"""Replay: whether a run that is built again from what it recorded comes to the same tables."""

from __future__ import annotations

from enum import StrEnum

from slipway.domain.comparison.records import Row, TableComparison, Verdict
from slipway.domain.manifest import Node, Record, RunManifest
from slipway.domain.run import Outcome

_INPUT_LAYERS = ("raw",)
_REPLAYABLE = (Outcome.PUBLISHED, Outcome.STAGED, Outcome.UNCHANGED)


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


def why_not_replayable(manifest: RunManifest) -> str:
    """Why a run cannot be built again; empty when it can."""
    if manifest.outcome not in _REPLAYABLE:
        return f"it is {manifest.outcome}: {manifest.reason}"
    if manifest.code.commit is None:
        return "it ran outside of a git repository, so its code is not known"
    if manifest.code.dirty:
        return "it ran from a work tree with uncommitted changes"
    return ""


def inputs_of(manifest: RunManifest) -> dict[str, tuple[str, str | None]]:
    """Tables that a replay takes as they were: ``layer.table`` to metadata file and snapshot."""
    found = {
        item.table.removeprefix(f"{manifest.target}."): (item.metadata_location, item.snapshot_id)
        for item in manifest.inputs
    }
    for node in manifest.nodes:
        if node.table and node.metadata_location and not _is_made(node):
            found[node.table] = (node.metadata_location, node.candidate_snapshot)
    return found


def made_by(manifest: RunManifest) -> dict[str, Node]:
    """Tables that a replay builds, ``layer.table`` to what the run wrote down about them."""
    return {node.table: node for node in manifest.nodes if node.table and _is_made(node)}


def _is_made(node: Node) -> bool:
    return (node.table or "").partition(".")[0] not in _INPUT_LAYERS and node.metadata_location is not None


def same_digest(recorded: Node, replayed: Node | None) -> bool:
    """Whether the content is known to be the same without looking at it."""
    return replayed is not None and recorded.digest is not None and recorded.digest == replayed.digest


def judge_replay(recorded: Node, replayed: Node | None, comparison: TableComparison | None) -> ReplayedTable:
    """The verdict on one table.

    Args:
        recorded: what the run wrote down.
        replayed: what the replay wrote down, None when it did not build the table.
        comparison: of the rows, where the digests are not the same.
    """
    found = ReplayedTable(
        table=recorded.table or recorded.unique_id,
        verdict=ReplayVerdict.IDENTICAL,
        rows=recorded.rows_after,
        recorded=recorded.digest,
        replayed=replayed.digest if replayed else None,
    )
    if same_digest(recorded, replayed):
        return found
    if replayed is None or comparison is None:
        return found.model_copy(update={"verdict": ReplayVerdict.DIVERGED, "why": "it was not built"})
    if comparison.verdict is Verdict.WITHIN_TOLERANCE:
        return found.model_copy(update={"verdict": ReplayVerdict.WITHIN_TOLERANCE})
    if comparison.verdict is Verdict.IDENTICAL and not _same_algorithm(recorded, replayed):
        return found
    return found.model_copy(update={"verdict": ReplayVerdict.DIVERGED, "why": _first(comparison)})


def _same_algorithm(one: Node, other: Node) -> bool:
    """Digests of two versions of the engine cannot be compared; then the rows tell."""
    names = {(node.digest or "").partition(":")[0] for node in (one, other)}
    return len(names) == 1


def _first(comparison: TableComparison) -> str:
    """The first difference, with the key of the first row that has it."""
    if not comparison.differences:
        return "; ".join(comparison.coverage.notes) or "in lineage columns"
    told = comparison.differences[0].detail
    if (column := comparison.worst_column) is not None and column.examples:
        example = column.examples[0]
        return f"{told}; first {_key(example.key)}: {column.name} {example.base} is now {example.head}"
    for rows, word in ((comparison.removed_examples, "missing"), (comparison.added_examples, "new")):
        if rows:
            return f"{told}; first {word}: {_key(rows[0])}"
    return told


def _key(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
