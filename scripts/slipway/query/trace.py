"""Follow rows of a published table back to the lines of landed files, and a line of a file to the tables that it is in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from slipway.errors import NotFoundError, UsageError
from slipway.names import TableName
from slipway.query.queries import run_query
from slipway.releases.cut import Cut
from slipway.releases.lookup import environment_of, is_table
from slipway.releases.published import Published
from slipway.sql_text import literal, quote

_PLACE = ("_source_file", "_source_line")
_LINES = 20
_TEXT = re.compile(r"'(?:[^']|'')*'")


@dataclass(frozen=True)
class Step:
    """Rows of one table on the way.

    ``by`` are the columns that they were found by, with values as text; where a condition was given, ``where`` is it, and ``same`` are the columns in which rows
    further up have a value of those that it is true of. ``lines`` are the first of their file and line, where the table says them, and
    ``end`` why they are not followed further; empty when they are, or when they are lines. ``ignored`` are columns of the key that the table does not
    have, so that it may be more rows than those that were asked about.
    """

    table: str
    depth: int
    rows: int
    by: Mapping[str, str | None]
    lines: list[tuple[str, int]] = field(default_factory=list)
    files: int = 0
    end: str = ""
    ignored: Sequence[str] = ()
    where: str = ""
    same: Sequence[str] = ()


class _Asked(Protocol):
    """Which rows of a table are followed."""

    @property
    def names(self) -> Sequence[str]:
        """The columns that identify them."""
        ...

    @property
    def condition(self) -> str:
        """As SQL."""
        ...

    def of(self, step: Step) -> Step:
        """A step that says how its rows were found."""
        ...

    def above(self, table: str, shared: Sequence[str]) -> _Asked:
        """The same of a table that this one is made from, by the columns that both have."""
        ...


@dataclass(frozen=True)
class _Key:
    values: Mapping[str, str]

    @property
    def names(self) -> Sequence[str]:
        return list(self.values)

    @property
    def condition(self) -> str:
        return " and ".join(f"{quote(name)}::text = {literal(value)}" for name, value in self.values.items())

    def of(self, step: Step) -> Step:
        return replace(step, by=dict(self.values))

    def above(self, table: str, shared: Sequence[str]) -> _Key:
        del table
        return _Key({name: self.values[name] for name in shared})


@dataclass(frozen=True)
class _Where:
    """Rows that a condition is true of, and above them those that agree with one in the columns that it names."""

    condition: str
    names: Sequence[str]
    depth: int = 0

    def of(self, step: Step) -> Step:
        return replace(step, same=self.names) if self.depth else replace(step, where=self.condition)

    def above(self, table: str, shared: Sequence[str]) -> _Where:
        listed = ", ".join(f"{quote(name)}::text" for name in shared)
        found = f"({listed}) in (select ({listed}) from {_quoted(table)} where {self.condition})"
        return _Where(found, shared, self.depth + 1)


def trace_back(
    project_dir: Path | None,
    target: str | None,
    table: str,
    key: Mapping[str, str],
    where: str = "",
) -> list[Step]:
    """Follow the rows with a key, or those that a condition is true of, to landed lines.

    A table that says file and line is followed no further: these are the lines. Any other is followed into the tables that it is made from, by the columns of
    the key, or those that the condition names, that these have, too: where the table aggregates, that is the group of its source rows.

    Args:
        project_dir: the dbt project.
        target: the environment.
        table: ``layer.name``.
        key: columns of the table to values as text.
        where: in place of a key, a condition in SQL.

    Raises:
        NotFoundError: there is no such table or no such row.
        UsageError: the table has no such column.
    """
    trail = _Trail(project_dir, target)
    columns = trail.columns(table)
    if absent := sorted(set(key) - set(columns)):
        raise UsageError(
            f"{table} has no column {absent[0]}",
            f"its columns are {', '.join(columns)}",
            "Name columns of the key",
        )
    asked: _Asked = _Key(key)
    if where:
        words = set(re.findall(r"\w+", _TEXT.sub(" ", where.casefold())))
        named = [name for name in trail.columns(table) if set(re.findall(r"\w+", name.casefold())) <= words]
        asked = _Where(f"({where})", named)
    steps = trail.follow(table, asked, 0, set())
    if not steps[0].rows:
        said = "with " + ", ".join(f"{name}={value}" for name, value in key.items())
        raise NotFoundError(
            f"{table} has no row {f'where ({where})' if where else said}", fix="Look for it with slipway sql"
        )
    return steps


def trace_forward(project_dir: Path | None, target: str | None, file: str, line: int) -> list[Step]:
    """Tables that a line of a landed file is in, of those that say file and line.

    Args:
        project_dir: the dbt project.
        target: the environment.
        file: as ``_source_file`` has it, or the end of it.
        line: of the file.

    Raises:
        NotFoundError: no table has this line.
    """
    trail = _Trail(project_dir, target)
    found = []
    for table in sorted(trail.cut.tables):
        if TableName.parse(table).layer == "ops" or not set(_PLACE) <= set(trail.columns(table)):
            continue
        is_it = f"(_source_file = {literal(file)} or ends_with(_source_file, {literal(f'/{file}')}))"
        step = trail.step(
            table, f"{is_it} and _source_line = {line}", {"_source_file": file, "_source_line": str(line)}, 0
        )
        if step.rows:
            found.append(step)
    if not found:
        raise NotFoundError(
            f"No table has line {line} of {file}",
            "no table that says file and line has it",
            "See slipway land status",
        )
    if all(TableName.parse(step.table).layer == "raw" for step in found):
        why = "no table behind it has this line: it repeats another row, or these tables do not say file and line"
        found[-1] = replace(found[-1], end=why)
    return found


class _Trail:
    def __init__(self, project_dir: Path | None, target: str | None) -> None:
        self.published = Published(environment_of(project_dir, target))
        self.cut: Cut = self.published.now()
        self._columns: dict[str, list[str]] = {}
        last = self.published.records.last_release()
        described = self.published.records.dbt_manifest(last.run_id) if last else None
        self._nodes: Mapping[str, Mapping[str, Any]] = {
            **(described or {}).get("nodes", {}),
            **(described or {}).get("sources", {}),
        }
        self._ids = {
            f"{node['schema']}.{node['alias']}": unique_id
            for unique_id, node in self._nodes.items()
            if node["resource_type"] != "source" and is_table(node)
        }

    def columns(self, table: str) -> list[str]:
        if table not in self.cut.tables:
            raise NotFoundError(f"{self.cut.label} has no table {table}", fix=self.cut.hint(table))
        if table not in self._columns:
            found = run_query(self.published, self.cut, f"select * from {_quoted(table)} limit 0").columns
            self._columns[table] = [column.name for column in found]
        return self._columns[table]

    def follow(self, table: str, asked: _Asked, depth: int, visited: set[str]) -> list[Step]:
        visited.add(table)
        step = asked.of(self.step(table, asked.condition, {}, depth))
        if step.lines or not step.rows:
            return [step]
        steps = []
        for other in self._made_from(table):
            shared = [name for name in asked.names if name in self.columns(other)]
            if other in visited:
                continue
            if shared:
                first, *more = self.follow(other, asked.above(table, shared), depth + 1, visited)
                steps += [replace(first, ignored=[name for name in asked.names if name not in shared]), *more]
            else:
                why = f"it has none of the columns {', '.join(asked.names)}"
                if not asked.names:
                    why = "the condition names no column that would tell which of its rows they are made from"
                steps.append(Step(other, depth + 1, 0, {}, end=why))
        end = "" if steps else "it is made from no published table, and does not say file and line"
        return [replace(step, end=end), *steps]

    def step(self, table: str, condition: str, by: Mapping[str, str], depth: int) -> Step:
        has_place = set(_PLACE) <= set(self.columns(table))
        files = "count(distinct _source_file)" if has_place else "0"
        ((rows, number),) = self._query(f"select count(*), {files} from {_quoted(table)} where {condition}")
        lines: Sequence[tuple[Any, ...]] = ()
        if has_place and rows:
            lines = self._query(
                f"select _source_file, _source_line from {_quoted(table)} where {condition} order by all limit {_LINES}"
            )
        return Step(table, depth, rows, dict(by), [(str(file), int(line)) for file, line in lines], number)

    def _query(self, sql: str) -> Sequence[tuple[Any, ...]]:
        return list(run_query(self.published, self.cut, sql).rows())

    def _made_from(self, table: str) -> list[str]:
        """Published tables that a table reads, through ephemeral models and views."""
        found: dict[str, None] = {}
        waiting = list(self._depends(self._ids.get(table, "")))
        while waiting:
            unique_id = waiting.pop(0)
            node = self._nodes.get(unique_id)
            if node is None or node["resource_type"] == "source":
                continue
            name = f"{node['schema']}.{node.get('alias')}"
            if is_table(node) and name in self.cut.tables:
                found[name] = None
            elif not is_table(node):
                waiting += self._depends(unique_id)
        return list(found)

    def _depends(self, unique_id: str) -> Sequence[str]:
        nodes: Sequence[str] = (self._nodes.get(unique_id, {}).get("depends_on") or {}).get("nodes", ())
        return nodes


def _quoted(table: str) -> str:
    return ".".join(map(quote, TableName.parse(table)))
