"""The check of a project: each node after those that it reads."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from slipway.check.check_report import Checked, Finding, Level
from slipway.check.places import (
    line_declaring,
    line_naming,
    line_of_error,
    line_of_parser,
    line_referring,
    source_line,
)
from slipway.check.plain_names import Named, PlainNames
from slipway.check.spark_translation import check_keyed, translation_error
from slipway.check.unit_tests import unknown_columns
from slipway.contracts.contract_files import FOLDER, look_at_all
from slipway.contracts.model import EXTRA
from slipway.contracts.typed_rows import LINEAGE
from slipway.dbt.code_only import CodeOnly, code_only
from slipway.dbt.configuration import (
    check_functions,
    check_names,
    contract_of,
    problems,
    strategy_of,
)
from slipway.dbt.dropped import dropped
from slipway.dbt.model_engines import engine_problems, is_chosen, may_be_by_spark
from slipway.dbt.nodes import DbtNode, is_python, table_of
from slipway.dbt.promised import compared
from slipway.dbt.readers import deprecated_models, readers_of_nodes
from slipway.dbt.stubs import Stubs
from slipway.dbt.volatility import volatile_node
from slipway.engines.duckdb.constraints import check_shape
from slipway.engines.writers import SPARK
from slipway.errors import ConfigError, ContractError, SlipwayError
from slipway.landing.feeds import feeds_of, with_feed_problems
from slipway.names import TableName
from slipway.sql_text import quote

if TYPE_CHECKING:
    pass

_CHECKED = ("model", "seed", "snapshot", "test")
_INCREMENT = re.compile(r"\b(rows_added|partitions_changed)\s*\(")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_SQL_COMMENT = re.compile("--[^\n]*")
# the usual condition of a dbt model that wants new rows: a maximum that a subquery takes of the model's own table
_OWN_MAXIMUM = re.compile(r"\bmax\s*\([^;]{0,200}?\bfrom\s+\{\{-?\s*this\b", re.IGNORECASE)
_PLACE = re.compile(r"\(((?:[\w .-]+/)*[\w .-]+\.(?:sql|py|ya?ml|md|csv))\)")
_REFERS = re.compile(r"depends on an? \w+ named '([^']+)'")
_OPENED = "describe\n"
_FLOATS = ("DOUBLE", "FLOAT")


def check(project: Path, target: str | None) -> Checked:
    """Look at the code of a project without its data.

    Nothing is read but the project's files, and nothing is written but dbt's own artifacts: no catalog, no landing area, no network.

    Args:
        project: folder of dbt_project.yml.
        target: the dbt target, whose variables and names count; the profile's by default.
    """
    stubs = Stubs()
    try:
        with code_only(project, target, stubs, despite_missing=True) as code:
            return ProjectCheck(project, code).whole()
    except ConfigError as error:
        if error.fix:  # one of our own: a profile that cannot be used
            raise
        text = error.what
        place = _PLACE.search(text)
        return Checked(
            [
                Finding(
                    "parse",
                    Level.ERROR,
                    _sentence(text),
                    "",
                    place.group(1) if place else "",
                    line_of_parser(text) if place else None,
                )
            ],
            0,
        )


class ProjectCheck:
    """Looks at one project.

    Args:
        project: folder of dbt_project.yml.
        code: of the project.
    """

    def __init__(self, project: Path, code: CodeOnly) -> None:
        self.project, self.code = project, code
        self.manifest: Any = code.manifest
        self.nodes: dict[str, Any] = {
            name: node
            for name, node in self.manifest.nodes.items()
            if node.resource_type in _CHECKED and node.config.enabled
        }
        self.findings: list[Finding] = []
        self.unchecked: dict[str, str] = {}
        self.readers = readers_of_nodes(self.manifest)
        self.names = PlainNames(self.manifest, code.cursor)

    def whole(self) -> Checked:
        """Look at everything; afterwards the stubs of the code have the columns of all tables that are known."""
        began = time.perf_counter()
        self._contracts()
        self._configuration()
        self._sources()
        self._deprecations()
        self._missing()
        order = TopologicalSorter(
            {
                name: [one for one in node.depends_on_nodes if one in self.nodes]
                for name, node in self.nodes.items()
            }
        )
        for name in order.static_order():
            self._node(self.nodes[name])
        self._unit_tests()
        every = sorted(self.findings, key=lambda one: (one.file, one.line or 0, one.rule, one.message))
        return Checked(every, len(self.nodes), self.unchecked, time.perf_counter() - began)

    # -- what is no query

    def _contracts(self) -> None:
        readings = with_feed_problems(look_at_all(self.project))
        for reading in compared(readings, self.manifest):
            for problem in reading.problems:
                file = f"{FOLDER}/{reading.path.name}"
                self.findings.append(
                    Finding("contract", Level.ERROR, problem.error.line(), "", file, problem.line)
                )
        contracts = [reading.contract for reading in readings if reading.contract]
        for feed in feeds_of(contracts):
            columns = [(name, "varchar") for name in (*feed.columns, *([EXTRA] if feed.keeps_extra else []))]
            self.code.stubs.set_columns(TableName("landing", feed.name), [*columns, *LINEAGE.items()])

    def _configuration(self) -> None:
        for node in self.nodes.values():
            for problem in (*problems(node), *engine_problems(self.manifest, node, strategy_of)):
                self._found("configuration", Level.ERROR, f"{problem}.", node)
        for check_all in (
            check_functions,
            partial(check_names, environment=self.code.session.environment),
        ):
            try:
                check_all(self.manifest)
            except ConfigError as error:
                self.findings.append(Finding("configuration", Level.ERROR, error.line()))

    def _sources(self) -> None:
        for source in self.manifest.sources.values():
            table = table_of(source)
            typed = [(name, str(column.data_type or "")) for name, column in source.columns.items()]
            if table.namespace == "landing":
                continue
            if typed and all(kind for _, kind in typed):
                self.code.stubs.set_columns(table, typed)
            else:
                self.code.stubs.set_unknown(
                    table, f"source {table} does not declare its columns with data_type"
                )

    def _deprecations(self) -> None:
        for node, said in deprecated_models(self.manifest, datetime.now(UTC)):
            file = str(node.patch_path).partition("://")[2]
            line = line_declaring((node.name,), (self.project / file).read_text(encoding="utf-8"))
            self.findings.append(
                Finding(
                    "deprecated",
                    Level.WARNING,
                    said,
                    node.unique_id,
                    file,
                    line,
                    self._reached(node.unique_id),
                )
            )

    def _missing(self) -> None:
        parts = dropped(self.manifest)
        for part in parts:
            text = (self.project / part.file).read_text(encoding="utf-8")
            line = line_declaring((part.name,), text) or line_referring(part.name, text)
            self.findings.append(Finding("parse", Level.ERROR, part.message, part.unique_id, part.file, line))
        declared = {(part.file, part.name) for part in parts}
        for one in self.code.missing:
            if (one.file, one.name) in declared:
                self.nodes.pop(one.unique_id, None)  # a test that its YAML declares for what is not there
                continue
            line = line_referring(one.name, (self.project / one.file).read_text(encoding="utf-8"))
            reached = self._reached(one.unique_id)
            self.findings.append(
                Finding("parse", Level.ERROR, _sentence(one.message), one.unique_id, one.file, line, reached)
            )

    def _unit_tests(self) -> None:
        for test, said in unknown_columns(self.manifest, self.code.stubs):
            file = str(test.original_file_path)
            line = line_declaring((test.name,), (self.project / file).read_text(encoding="utf-8"))
            self.findings.append(Finding("unit-test", Level.ERROR, said, test.unique_id, file, line))

    # -- nodes

    def _node(self, node: Any) -> None:
        if any(one.unique_id == node.unique_id for one in self.code.missing):
            self._leave(node, f"{node.name} has an error")
        elif node.resource_type == "seed":
            self._seed(node)
        elif is_python(node):
            self._python(node)
        else:
            self._query(node)

    def _seed(self, node: Any) -> None:
        try:
            self.code.stubs.set_columns(table_of(node), self.code.seed_types(node.unique_id))
        except SlipwayError as error:
            self._found("seed", Level.ERROR, error.line(), node)
            self._leave(node, f"seed {node.name} cannot be read")

    def _python(self, node: DbtNode) -> None:
        """The columns of a Python model are those that its YAML declares: its code is not run."""
        if found := self.names.found_in_python(node):
            self._by_name(node, found, found.line)
        typed = [(name, str(column.data_type or "")) for name, column in node.columns.items()]
        if typed and all(kind for _, kind in typed):
            self.code.stubs.set_columns(table_of(node), typed)
        else:
            self._leave(node, f"Python model {node.name} does not declare its columns with data_type")

    def _query(self, node: Any) -> None:
        sql = self._rendered(node)
        if sql is None:
            return
        self._named(node, sql)
        columns = self._bound(node, sql)
        if columns is None:
            return
        if node.resource_type == "test":
            self._monitored(node)
            self._volatile(node, sql)
            return
        if node.resource_type == "snapshot":
            columns = [*columns, *_of_snapshot(node, columns)]
        self._declared(node, columns)
        self._volatile(node, sql)
        self._sums(node, sql)
        self._on_spark(node, sql)
        self.code.stubs.set_columns(table_of(node), columns)
        if node.resource_type == "model":
            self._increments(node, columns)

    def _rendered(self, node: Any, *, incremental: bool = False, engine: str = "") -> str | None:
        try:
            sql = self.code.query(node.unique_id, incremental=incremental, engine=engine)
        except ConfigError as error:
            if why := next(iter(self.code.stubs.unknown.values()), ""):
                self._leave(node, why)
            else:
                line = line_of_parser(error.what) or self._line_referring(node, error.what)
                self._found("compile", Level.ERROR, _sentence(error.what), node, line)
                self._leave(node, f"{node.name} cannot be compiled")
            return None
        return sql.strip().rstrip(";")

    @staticmethod
    def _line_referring(node: Any, error: str) -> int | None:
        missing = _REFERS.search(error)
        return line_referring(missing.group(1), node.raw_code) if missing else None

    def _bound(self, node: Any, sql: str) -> list[tuple[str, str]] | None:
        if why := next(iter(self.code.stubs.unknown.values()), ""):
            self._leave(node, why)
            return None
        try:
            rows = self.code.cursor.execute(f"{_OPENED}{sql}").fetchall()
        except duckdb.PermissionException:
            self._leave(node, f"{node.name} reads files")
            self._volatile(node, sql)
        except duckdb.Error as error:
            text = str(error)
            instead = self.names.meant(text)
            if not any(one.node == node.unique_id and one.rule == "plain-name" for one in self.findings):
                said = _of_duckdb(text) + (f" Is {instead} meant?" if instead else "")
                self._found("bind", Level.ERROR, said, node, self._line(node, text, sql))
            self._leave(node, f"{node.name} has an error")
        else:
            return [(str(row[0]), str(row[1])) for row in rows]
        return None

    def _named(self, node: Any, sql: str) -> None:
        """Find a table that a query reads by its name instead of by ``ref`` or ``source``."""
        if found := self.names.found(node, sql):
            self._by_name(node, found, self._line_of(node, found.line, sql))

    def _by_name(self, node: Any, found: Named, line: int | None) -> None:
        self._found(
            "plain-name",
            Level.ERROR,
            f"{node.name} reads {found.table} by its name, so that dbt neither waits for that table nor builds {node.name} again when it changes."
            f" Write {found.instead}.",
            node,
            line,
        )

    def _line_of(self, node: Any, line: int, sql: str) -> int | None:
        if node.resource_type == "test" and not str(node.original_file_path).endswith(".sql"):
            return self._yaml_line(node)
        return source_line(line, sql, node.raw_code)

    def _line(self, node: Any, error: str, sql: str) -> int | None:
        if node.resource_type == "test" and not str(node.original_file_path).endswith(".sql"):
            return self._yaml_line(node)
        return line_of_error(error, sql, node.raw_code, before=1)

    def _declared(self, node: Any, columns: Sequence[tuple[str, str]]) -> None:
        """Compare the columns of a query with those of the node's YAML."""
        try:
            contract = contract_of(node)
        except ConfigError as error:
            self._found("configuration", Level.ERROR, error.line(), node)
            return
        if contract is not None:
            kinds = self.code.cursor.sql(
                f"select {', '.join(f'null::{kind} as {quote(name)}' for name, kind in columns)}"
            )
            try:
                check_shape(
                    self.code.cursor, node.name, contract, list(zip(kinds.columns, kinds.types, strict=True))
                )
            except (ContractError, ConfigError) as error:
                line = next(filter(None, (line_naming(one, node.raw_code) for one in _named(error))), None)
                self._found("columns", Level.ERROR, error.line(), node, line)
            return
        there = {name.lower(): (name, kind) for name, kind in columns}
        for name, column in node.columns.items():
            found = there.get(name.lower())
            if found is None:
                what = f"Column {name} is described in the YAML of {node.name}, and is not in its query. Remove it there, or add it to the query."
            elif found[0] != name:
                what = (
                    f"Column {found[0]} of {node.name} is called {name} in its YAML, and other readers of Iceberg distinguish upper and lower case. "
                    "Write it alike."
                )
            elif column.data_type and (wanted := self._plain(column.data_type)) != found[1]:
                what = f"Column {name} of {node.name} is {found[1]}, and its YAML says {wanted or column.data_type}. Change the query, or data_type."
            else:
                continue
            self._found("columns", Level.WARNING, what, node, line_naming(name, node.raw_code))

    def _plain(self, kind: str) -> str:
        """A type as DuckDB spells it; empty for what is none."""
        try:
            return str(self.code.cursor.sql(f"select null::{kind} as one").types[0])
        except duckdb.Error:
            return ""

    def _volatile(self, node: Any, sql: str) -> None:
        if self.code.stubs.monitored:
            return  # what a monitor compares with is history and a clock by nature
        why = volatile_node(self.code.session.volatility, self.manifest, node.unique_id, sql)
        if not why:
            return
        built = "It runs with every build" if node.resource_type == "test" else "It is built with every run"
        word = why.rpartition("calls ")[2] if "calls " in why else ""
        self._found(
            "volatile",
            Level.WARNING,
            f"{node.name}: {why}. {built}, and the result of the same code on the same data may be another one.",
            node,
            line_naming(word.split(",")[0].strip(), node.raw_code) if word else None,
        )

    def _sums(self, node: Any, sql: str) -> None:
        with suppress(duckdb.Error):
            plan = self.code.session.volatility.plan(sql, sql)
            names = sorted(
                {str(one["name"]) for one in _aggregates(plan) if one["arguments"][0]["id"] in _FLOATS}
            )
            if names:
                self._found(
                    "float-sum",
                    Level.WARNING,
                    f"{node.name} takes {' and '.join(names)} of DOUBLE or FLOAT: the last digits depend on the order in which DuckDB adds, and cents get lost."
                    " Cast the argument to a decimal.",
                    node,
                    line_naming(names[0], node.raw_code),
                )

    def _increments(self, node: Any, columns: Sequence[tuple[str, str]]) -> None:
        """Bind the query that an incremental model has when its table is there."""
        called = _INCREMENT.search(_COMMENT.sub("", node.raw_code))
        if node.config.materialized != "incremental":
            if called and node.config.materialized in ("table", "view"):
                self._found(
                    "increment",
                    Level.WARNING,
                    f"{called.group(1)} has no effect in {node.name}, which is a {node.config.materialized} and reads everything. Make it incremental, or remove"
                    " the condition.",
                    node,
                    line_naming(called.group(1), node.raw_code),
                )
            return
        text = _SQL_COMMENT.sub("", _COMMENT.sub(lambda one: "\n" * one.group().count("\n"), node.raw_code))
        if own := _OWN_MAXIMUM.search(text):
            self._found(
                "increment",
                Level.WARNING,
                f"{node.name} reads what is newer than the maximum of its own table: rows that come late, and corrections of earlier ones, never reach it."
                " Select by rows_added or partitions_changed, which know what has changed.",
                node,
                text.count("\n", 0, own.start()) + 1,
            )
        sql = self._rendered(node, incremental=True)
        added = self._bound(node, sql) if sql is not None else None
        if sql is None or added is None:
            return
        whole, part = dict(columns), dict(added)
        if whole != part:
            differing = sorted({*(whole.items() - part.items()), *(part.items() - whole.items())})
            names = ", ".join(dict.fromkeys(name for name, _ in differing))
            self._found(
                "increment",
                Level.ERROR if node.config.on_schema_change in (None, "ignore", "fail") else Level.WARNING,
                f"{node.name} has other columns in an incremental run than in a full one: {names}. Select the same columns in both branches.",
                node,
                line_naming(differing[0][0], node.raw_code),
            )
        self._volatile(node, sql)
        self._on_spark(node, sql)
        if may_be_by_spark(node):
            try:
                check_keyed(self.code, node, sql)
            except (ConfigError, ContractError) as error:
                self._found("spark", Level.ERROR, error.line(), node, None)

    def _on_spark(self, node: Any, sql: str) -> None:
        """Translate the query of a model that Spark is to compute, or may have to; with engine: auto it has a text for each engine."""
        if not may_be_by_spark(node):
            return
        if is_chosen(node):
            other = self._rendered(node, incremental=self.code.stubs.incremental, engine=SPARK)
            columns, others = self._bound(node, sql), self._bound(node, other) if other is not None else None
            if other is None or columns is None or others is None:
                return
            if columns != others:
                names = ", ".join(dict.fromkeys(name for name, _ in sorted({*columns} ^ {*others}) or others))
                self._found(
                    "spark",
                    Level.ERROR,
                    f"{node.name} has other columns on Spark than on DuckDB: {names}. Select the same columns, in the same order, for both.",
                    node,
                )
            sql = other
        if error := translation_error(self.code, node, sql):
            line = source_line(error.line_number, sql, node.raw_code) if error.line_number else None
            self._found("spark", Level.ERROR, error.line(), node, line)

    def _monitored(self, node: Any) -> None:
        """Whether the columns that a monitor names are there: its query comes from history, which is not looked at."""
        for relation, arguments in self.code.stubs.monitored:
            for key, name in arguments.items():
                if name is None or not (key == "column" or key.endswith("_column")):
                    continue
                try:
                    self.code.cursor.execute(f"describe select {name} from {relation}")
                except duckdb.Error as error:
                    self._found(
                        "bind",
                        Level.ERROR,
                        f"{node.name}: {_of_duckdb(str(error))}",
                        node,
                        self._yaml_line(node),
                    )

    # -- findings

    def _found(self, rule: str, level: Level, message: str, node: Any, line: int | None = None) -> None:
        file = str(node.original_file_path)
        if line is None and node.resource_type == "test" and not file.endswith(".sql"):
            line = self._yaml_line(node)
        finding = Finding(rule, level, message, node.unique_id, file, line, self._reached(node.unique_id))
        if replace(finding, line=None) not in (replace(one, line=None) for one in self.findings):
            self.findings.append(finding)

    def _leave(self, node: Any, why: str) -> None:
        """Note that a node cannot be looked at, and what to report for its readers."""
        if not any(one.node == node.unique_id and one.level is Level.ERROR for one in self.findings):
            self.unchecked.setdefault(node.unique_id, why)
        if node.resource_type == "test":
            return
        typed = [(name, str(column.data_type or "")) for name, column in node.columns.items()]
        if node.columns and all(kind and self._plain(kind) for _, kind in typed):
            self.code.stubs.set_columns(table_of(node), typed)  # its readers are bound to what is declared
        else:
            self.code.stubs.set_unknown(table_of(node), why)

    def _yaml_line(self, node: Any) -> int | None:
        """Where the YAML file of a generic test names what it tests."""
        tested = self.manifest.nodes.get(str(node.attached_node or ""))
        path = self.project / node.original_file_path
        if tested is None or not path.is_file():
            return None
        text = path.read_text(encoding="utf-8")
        column = getattr(node, "column_name", None)
        return line_declaring((tested.name, *([column] if column else [])), text) or line_declaring(
            (tested.name,), text
        )

    def _reached(self, unique_id: str) -> list[str]:
        """Names of the models and exposures that depend on a node, near ones first."""
        waiting, found = [unique_id], dict[str, str]()
        while waiting:
            for name in self.readers.get(waiting.pop(0), ()):
                if name not in found:
                    kind = name.partition(".")[0]
                    if kind == "test":
                        continue
                    found[name] = self._shown(kind, name)
                    waiting.append(name)
        return list(filter(None, found.values()))

    def _shown(self, kind: str, unique_id: str) -> str:
        """What a reader is called; empty for the parts of the semantic layer, which are between models and exposures."""
        if kind == "exposure":
            return f"exposure {self.manifest.exposures[unique_id].name}"
        return str(self.manifest.nodes[unique_id].name) if unique_id in self.manifest.nodes else ""


def _aggregates(plan: object) -> Iterator[dict[str, Any]]:
    waiting = [plan]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.get("expression_class") == "BOUND_AGGREGATE" and one["name"] in ("sum", "avg"):
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _of_snapshot(node: Any, columns: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The columns that dbt adds to a snapshot (documentation of dbt, "Snapshot meta-fields")."""
    given = node.config.get("snapshot_meta_column_names") or {}

    def named(name: str) -> str:
        return str(getattr(given, name, None) or name)

    kinds = {name.lower(): kind for name, kind in columns}
    kind = kinds.get(str(node.config.get("updated_at") or "").lower(), "TIMESTAMP")
    yield named("dbt_scd_id"), "VARCHAR"
    for name in ("dbt_updated_at", "dbt_valid_from", "dbt_valid_to"):
        yield named(name), kind
    if node.config.get("hard_deletes") == "new_record":
        yield named("dbt_is_deleted"), "VARCHAR"


def _named(error: SlipwayError) -> Iterator[str]:
    """The columns that a message about a contract names."""
    for of_column, of_type in re.findall(r"column (\S+) is|[:;] (\S+) is [A-Z]", error.line()):
        yield of_column or of_type


def _of_duckdb(text: str) -> str:
    """A message of DuckDB in one line, without the part that points into the compiled query."""
    return _sentence(text.partition("\nLINE ")[0])


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else f"{line}."
