"""Let rows through that break a rule: they are written into a file of the project, and judged again by the next retry."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from slipway.code.versions import who
from slipway.contracts.released_rows import ReleasedRows, path_of, read_released, write_released
from slipway.counts import plural
from slipway.environments.profiles import find_project
from slipway.errors import NotFoundError, UsageError
from slipway.query.refused_rows import Wanted, refused_rows
from slipway.records.store import Records
from slipway.releases.lookup import environment_of, is_table

MOST = 1000
"""Rows that one command lets through; more of them are a rule that is wrong."""
_MACRO = "macro.dbt_slipway.quarantined"
_PLACE = ("rule_id", "_source_file", "_source_line", "_file_sha256")


@dataclass(frozen=True)
class Released:
    """What was written.

    Args:
        feed: of the rows.
        rows: how many were added; those that were in the file before are not counted.
        path: the file.
    """

    feed: str
    rows: int
    path: Path


def release_rows(
    project_dir: Path | None,
    target: str | None,
    table: str,
    rule: str,
    *,
    reason: str,
    file: str | None = None,
    lines: Collection[int] = (),
    dry_run: bool = False,
) -> Released:
    """Let published rows of a quarantine table through that break a rule.

    Args:
        project_dir: folder of the project.
        target: the environment whose rows are looked at.
        table: ``quarantine.name``, or only its name.
        rule: the id of the rule.
        reason: why they are correct.
        file: only rows of this file, as ``_source_file`` has it.
        lines: only these lines.
        dry_run: write nothing.

    Raises:
        NotFoundError: there is no such table, or no such row.
        UsageError: the table is not made by ``quarantined()``, or there are too many rows.
    """
    project = find_project(project_dir)
    feed = _feed(project_dir, target, table)
    found = refused_rows(project_dir, target, table, Wanted(rule=rule), show_classified=True).result
    at = {column.name: number for number, column in enumerate(found.columns)}
    places = [
        (str(row[at["_source_file"]]), str(row[at["_file_sha256"]]), int(row[at["_source_line"]]))
        for row in found.rows()
        if (file is None or row[at["_source_file"]] == file)
        and (not lines or row[at["_source_line"]] in lines)
    ]
    if not places:
        raise NotFoundError(
            f"No row of {table} breaks {rule} there",
            "nothing would be let through",
            f"slipway quarantine show {table} has rules, files and lines",
        )
    if len(places) > MOST:
        raise UsageError(
            f"{plural(len(places), 'row')} of {table} break {rule}",
            f"at most {MOST:,} are let through at once: with more of them the rule is wrong",
            "Change the rule in the contract, or name a file or lines",
        )
    known = read_released(project, feed)
    before = {(one.rule, one.sha256, line) for one in known for line in one.lines}
    new: dict[tuple[str, str], list[int]] = {}
    for path, sha256, line in places:
        if (rule, sha256, line) not in before:
            new.setdefault((path, sha256), []).append(line)
    added = [
        ReleasedRows(
            rule=rule,
            file=path,
            sha256=sha256,
            lines=tuple(numbers),
            reason=reason,
            released_by=who(),
            released_at=datetime.now(UTC),
        )
        for (path, sha256), numbers in new.items()
    ]
    if added and not dry_run:
        write_released(project, feed, [*known, *added])
    return Released(feed, sum(len(one.lines) for one in added), path_of(project, feed))


def _feed(project_dir: Path | None, target: str | None, table: str) -> str:
    """The feed whose rows a quarantine table has, if a contract makes it."""
    records = Records(environment_of(project_dir, target))
    last = records.last_release()
    manifest = records.manifest(last.run_id) if last else None
    described = records.dbt_manifest(last.run_id) if last else None
    pairs = manifest.conservation if manifest else []
    found = [item for item in pairs if table in (item.quarantine, item.quarantine.rpartition(".")[2])]
    nodes = described["nodes"].values() if described else ()
    made = [
        node
        for node in nodes
        if found and is_table(node) and f"{node['schema']}.{node['alias']}" == found[0].quarantine
    ]
    if not made or _MACRO not in made[0]["depends_on"].get("macros", ()):
        raise UsageError(
            f"Rows of {table} cannot be released",
            "it is no counted quarantine table whose model calls quarantined(), so that only its own SQL decides about them",
            "Change the model's conditions, or make it of the contract: docs/reference/contracts.md",
        )
    return found[0].raw.partition(".")[2]
