"""Replay: whether a run that is built again from what it recorded comes to the same tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from slipway.domain.comparison.records import Row, TableComparison, Verdict
from slipway.domain.manifest import Node, Record, RunManifest
from slipway.domain.run import Outcome

_INPUT_LAYERS = ("raw",)
CHANGED = "its table does not hold the rows any more that the run recorded"
GONE = "its table is not kept any more: compared with the digest that the run recorded"
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
        return f"no commit holds its code ({manifest.code.unknown})"
    if manifest.code.dirty:
        return f"it ran from a work tree with uncommitted changes ({manifest.code.unknown})"
    return ""


def inputs_of(manifest: RunManifest) -> dict[str, tuple[str, str | None]]:
    """Tables that a replay takes as they were: ``layer.table`` to metadata file and snapshot."""
    made = made_by(manifest)
    named = ((item.table.removeprefix(f"{manifest.target}."), item) for item in manifest.inputs)
    found = {name: (item.metadata_location, item.snapshot_id) for name, item in named if name not in made}
    for node in manifest.nodes:
        if node.table and node.metadata_location and not _is_made(node):
            found[node.table] = (node.metadata_location, node.candidate_snapshot)
    return found


def made_by(manifest: RunManifest) -> dict[str, Node]:
    """Tables that a replay builds, ``layer.table`` to what the run wrote down about them."""
    return {node.table: node for node in manifest.nodes if node.table and _is_made(node)}


def is_history(unique_id: str) -> bool:
    """Whether a node's table holds what no input does: a dbt snapshot."""
    return unique_id.startswith("snapshot.")


def kept_by(manifest: RunManifest) -> list[str]:
    """What a replay does not build although the run did."""
    return [
        f"{node.table}: the history of a snapshot, taken as the run left it"
        for node in manifest.nodes
        if node.metadata_location and is_history(node.unique_id)
    ]


def selection_of(manifest: RunManifest, described: Mapping[str, Any]) -> list[str]:
    """Selectors of the nodes to build: those that made a table, and the views that they may read.

    Args:
        manifest: the run's.
        described: dbt's manifest of the run, which knows where a node was: a name alone may be that of a folder, too.
    """
    return sorted(
        _selector(node.unique_id, described["nodes"].get(node.unique_id) or {})
        for node in manifest.nodes
        if _is_made(node) or (node.table is None and node.status == "success")
    )


def _selector(unique_id: str, described: Mapping[str, Any]) -> str:
    fqn, path = ".".join(described.get("fqn") or []), str(described.get("original_file_path", ""))
    if not (fqn and path) or re.search(r"[\s,]", fqn + path):  # dbt would take it for several selectors
        return ".".join(unique_id.split(".")[2:])
    return f"fqn:{fqn},path:{path}"


def _is_made(node: Node) -> bool:
    """Whether a replay builds the table; inputs are taken as they were."""
    is_input = is_history(node.unique_id) or (node.table or "").partition(".")[0] in _INPUT_LAYERS
    return not is_input and node.metadata_location is not None


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
    told = [part for part in (changed, _first(comparison)) if part]
    return found.model_copy(update={"verdict": ReplayVerdict.DIVERGED, "why": "; ".join(told)})


def _same_algorithm(one: str | None, other: str | None) -> bool:
    """Digests of two versions of the engine cannot be compared; then the rows tell."""
    names = {(digest or "").partition(":")[0] for digest in (one, other)}
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
