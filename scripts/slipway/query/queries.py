"""Queries over published tables: DuckDB in memory, one view per table that a query names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, TypeVar

import duckdb

from slipway.engines.duckdb import engine
from slipway.environments.environment import Environment
from slipway.environments.profiles import find_project
from slipway.errors import ConfigError, NotFoundError, SlipwayError, UnavailableError, UsageError
from slipway.names import TableName
from slipway.query import sandbox
from slipway.releases.cut import Cut
from slipway.releases.lookup import environment_of, find_run
from slipway.sql_text import literal, quote

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from slipway.releases.published import Published

_OF_A_FILE = re.compile(
    r"\.parquet|magic|compress|zstd|snappy|thrift|protocol|corrupt|footer|page|no such file", re.IGNORECASE
)
"""Words of DuckDB's errors that may be about a damaged file, which not all of them name."""


def damage_of(published: Published, opened: Sequence[Table], error: duckdb.Error) -> SlipwayError | None:
    """Which file of the tables that were opened an error is about, None when it is about none."""
    if not _OF_A_FILE.search(str(error)):
        return None
    from slipway.engines.duckdb.scan import find_damaged

    connection = engine.connect(published.environment, published.environment.home)
    try:
        return next(filter(None, (find_damaged(connection, table) for table in opened)), None)
    finally:
        connection.close()


_COMMENTS = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_EXPLAIN = re.compile(rf"^{_COMMENTS}explain\b(\s*analyze\b)?(\s*\([^)]*\))?", re.IGNORECASE | re.DOTALL)
_SHOW_TABLES = re.compile(rf"^{_COMMENTS}show\s+tables{_COMMENTS};?{_COMMENTS}$", re.IGNORECASE | re.DOTALL)
_LISTS_TABLES = re.compile(r"\b(show|information_schema|duckdb_\w+|pg_\w+|sqlite_master)\b", re.IGNORECASE)
_MISSING = re.compile(r"Table with name \"?(.+?)\"? does not exist")
_MISSING_CATALOG = re.compile(r"Catalog \"(.+?)\" does not exist")
_FORBIDDEN = re.compile(r"Cannot access (?:file|directory) \"(.+?)\"")
_ROWS_AT_ONCE = 5_000
_UNNAMED = "__slipway"
_NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|BIGNUM|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\))")

T = TypeVar("T")
Damage = Callable[[duckdb.Error], SlipwayError | None]


@dataclass(frozen=True)
class Column:
    """A column of a result: its name and DuckDB type."""

    name: str
    type: str

    @property
    def is_number(self) -> bool:
        """Whether its values are read from the right."""
        return _NUMBER.fullmatch(self.type) is not None


class QueryResult:
    """Rows of a query; they can be taken once, as rows or as Parquet.

    Args:
        cut: what was queried.
        connection: the connection that holds the result.
        damage: finds the file that an error of DuckDB is about.
        is_plan: the result is an EXPLAIN.

    Attributes:
        classified: columns with their classifications, of those that are stricter than internal.
        not_understood: why it is not known which columns are classified, in a sentence; empty if it is.
    """

    classified: Mapping[str, str] = MappingProxyType({})
    not_understood: str = ""

    def __init__(
        self,
        cut: Cut,
        connection: duckdb.DuckDBPyConnection,
        damage: Damage = lambda _: None,
        *,
        is_plan: bool,
    ) -> None:
        self.cut, self.is_plan, self._damage = cut, is_plan, damage
        self.columns = [Column(str(name), str(kind)) for name, kind, *_ in connection.description or []]
        self._connection = connection

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows as Python values, fetched in portions; times with a zone are in UTC."""
        with _one_line(self.cut, self._damage):
            while portion := _interruptible(
                self._connection, lambda: self._connection.fetchmany(_ROWS_AT_ONCE)
            ):
                yield from portion

    def write_parquet(self, stream: IO[bytes]) -> int:
        """Write one Parquet file, compressed with zstd.

        Returns:
            How many rows it has.
        """
        import pyarrow.parquet as pq

        count = 0
        with _one_line(self.cut, self._damage):
            reader = self._connection.to_arrow_reader(100_000)
            with pq.ParquetWriter(stream, reader.schema, compression="zstd") as writer:
                for batch in reader:
                    writer.write_batch(batch)
                    count += batch.num_rows
        return count


class Opening:
    """A database for one query, opened by a thread: while DuckDB loads extensions, Python can import what finds the tables.

    Args:
        environment: whose tables the query reads.
        sql: the query.
        files: it may read files and URLs that it names itself.
    """

    def __init__(self, environment: Environment, sql: str, *, files: bool = False) -> None:
        # a table is named as layer.table, or all of them are listed
        scans = "." in sql or _LISTS_TABLES.search(sql) is not None
        pool = ThreadPoolExecutor(max_workers=1)
        self._opened = pool.submit(
            engine.connect,
            environment,
            environment.home,
            once=sandbox.CONFIG,
            with_keys=files and "s3" in sql.lower(),
            extensions=engine.EXTENSIONS if files else engine.extensions_of(environment, scans=scans),
        )
        pool.shutdown(wait=False)

    def connection(self) -> duckdb.DuckDBPyConnection:
        """Wait for it; raises as ``engine.connect`` does."""
        return self._opened.result()

    @contextmanager
    def closed_on_failure(self) -> Iterator[None]:
        """Close the database if the query comes to nothing: otherwise many queries that are refused leave as many threads that still open one."""
        try:
            yield
        except BaseException:
            with suppress(Exception):
                self._opened.result().close()
            raise


def run_query(
    published: Published, cut: Cut, sql: str, *, files: bool = False, opening: Opening | None = None
) -> QueryResult:
    """Run one reading query over the tables of a cut, addressed as ``layer.table`` or ``target.layer.table``.

    Args:
        published: the environment.
        cut: its tables.
        sql: the query.
        files: it may read files and URLs that it names itself.
        opening: the database for it, where it was begun to be opened before.

    Raises:
        UsageError: the text is not one query that reads, or names a column or function that is not there.
        NotFoundError: it names a table that the cut does not have.
        UnavailableError: files cannot be read.
        SlipwayError: the query failed while it ran.
    """
    opened: list[Table] = []
    reads: list[str] = []
    damage = partial(damage_of, published, opened)
    with _one_line(cut, damage, sql):
        is_plan = _check(sql)
        sandbox.check_names(sql, files=files)
        opening = opening or Opening(published.environment, sql, files=files)
        with opening.closed_on_failure():
            scans, unreadable = _scans(published, cut, sql, opened, None if files else reads)
            connection = opening.connection()
            if scans:  # does nothing where they are loaded
                engine.load_extensions(connection, engine.OF_ICEBERG)
            _create_views(connection, _database(published.environment.name, cut), scans)
            sandbox.check_paths(sql, reads)
            sandbox.shut(connection, reads, files=files)
            if _SHOW_TABLES.match(sql):
                sql = _table_list(cut)
            try:
                _interruptible(connection, lambda: engine.result_of(connection, sql))
            except duckdb.Error as error:
                for failure in unreadable:
                    raise failure from None
                if not _asks_for(error, published.environment.name, cut):
                    raise
                _create_views(connection, published.environment.name, scans)
                _interruptible(connection, lambda: engine.result_of(connection, sql))
    return QueryResult(cut, connection, damage, is_plan=is_plan)


def _database(target: str, cut: Cut) -> str:
    """The database that holds the views: the target's name, unless a layer has it, too.

    ``staging.orders`` would then be a table of the database or of the layer, and DuckDB refuses to choose. A query that says
    ``staging.staging.orders`` asks for the database, and gets it then.
    """
    layers = {layer.lower() for layer, _ in _split(cut)}
    return _UNNAMED if target.lower() in layers else target


def _asks_for(error: duckdb.Error, target: str, cut: Cut) -> bool:
    missing = _MISSING_CATALOG.search(str(error))
    return bool(missing and missing[1].lower() == target.lower() and _database(target, cut) != target)


def _interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Let DuckDB work in a thread of its own: in the main one it may notice Ctrl-C only after minutes."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        done = pool.submit(work)
        try:
            return done.result()
        except KeyboardInterrupt:
            while not done.done():  # again, in case it had not begun when it was asked to stop
                connection.interrupt()
                wait([done], timeout=0.1)
            raise


def _check(sql: str) -> bool:
    """Whether the text is an EXPLAIN; raises UsageError unless it is one query that only reads."""
    statements = duckdb.extract_statements(sql)
    own = engine.written(statements)
    if not own:
        raise UsageError("There is no query", "the text is empty", "Give one, for example 'show tables'")
    if len(own) > 1:
        raise UsageError(
            "Only one query at a time", f"{len(own)} statements were given", "Run them one by one"
        )
    kind = statements[own[0]].type.name
    if kind == "EXPLAIN" and (prefix := _EXPLAIN.match(sql)):
        _check(sql[prefix.end() :])
        return True
    if kind != "SELECT":
        raise UsageError(
            f"{kind.replace('_', ' ')} is refused",
            "published tables are only read here",
            "Use SELECT, FROM, WITH, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN; models change tables",
        )
    return False


def _scans(
    published: Published, cut: Cut, sql: str, opened: list[Table], reads: list[str] | None
) -> tuple[dict[TableName, str], list[SlipwayError]]:
    """Every table that the query may read, as a FROM item.

    The tables are added to ``opened``, and the locations of all files of their snapshots to ``reads``, unless that is None.

    Returns:
        Also why tables could not be opened; this matters only if the query then fails, because it may not read them.
    """
    all_of_them = _LISTS_TABLES.search(sql) and not _SHOW_TABLES.match(sql)
    names = sorted(cut.tables) if all_of_them else cut.mentioned_in(sql)
    found: dict[TableName, str] = {}
    unreadable: list[SlipwayError] = []
    if not names:
        return found, unreadable
    # pyiceberg takes a while to import, and not every query needs it
    from slipway.engines.duckdb.scan import scan_and_files, whole_scan

    for name in names:
        try:
            table, snapshot = published.load(name, cut.tables[name])
            opened.append(table)
            if reads is None:
                scan = whole_scan(table, snapshot)
            else:
                scan, files = scan_and_files(table, snapshot)
                reads += files
            found[TableName.parse(name)] = scan
        except SlipwayError as error:
            unreadable.append(error)
    return found, unreadable


def _create_views(connection: duckdb.DuckDBPyConnection, called: str, scans: Mapping[TableName, str]) -> None:
    """Make a view of each table, in a database of this name, which becomes the current one."""
    database = quote(called)
    connection.execute(f"attach if not exists ':memory:' as {database}")
    connection.execute(f"use {database}")
    for (schema, table), scan in scans.items():
        connection.execute(f"create schema if not exists {database}.{quote(schema)}")
        connection.execute(f"create view {database}.{quote(schema)}.{quote(table)} as from {scan}")


def _table_list(cut: Cut) -> str:
    """A query for ``show tables``: DuckDB's own lists one schema only."""
    rows = ", ".join(f"({literal(layer)}, {literal(table)})" for layer, table in _split(cut))
    return f'select * from (values {rows}) as tables(layer, "table")'


def _split(cut: Cut) -> Iterator[TableName]:
    return (TableName.parse(name) for name in sorted(cut.tables))


@contextmanager
def _one_line(cut: Cut, damage: Damage, sql: str = "") -> Iterator[None]:
    """Turn DuckDB's errors into refusals."""
    try:
        yield
    except duckdb.Error as error:
        raise damage(error) or _refusal(error, cut, sql) from None


def _refusal(error: duckdb.Error, cut: Cut, sql: str = "") -> SlipwayError:
    """A DuckDB error as one line, with the exit code of its kind."""
    reason = _reason(error)
    if isinstance(error, duckdb.PermissionException) and (path := _FORBIDDEN.search(reason)):
        return sandbox.reads_files(path[1])
    if isinstance(error, duckdb.CatalogException) and (found := _MISSING.search(str(error))):
        if sandbox.names_file(found[1]):
            return sandbox.reads_files(found[1])
        return _no_table(_full_name(found[1], sql), cut)
    if found := _MISSING_CATALOG.search(str(error)):
        return NotFoundError(
            f"{found[1]} is not what is queried", f"this is {cut.label}", f"Add --target {found[1]}"
        )
    if isinstance(error, duckdb.IOException):
        return UnavailableError(
            "The query could not read a file", reason, "Check that it is there and readable"
        )
    if isinstance(error, (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)):
        return UsageError("The query cannot be understood", reason, "Correct it")
    return SlipwayError("The query failed", reason)


def _no_table(name: str, cut: Cut) -> NotFoundError:
    if not any(TableName.parse(table).layer != "ops" for table in cut.tables):
        return NotFoundError(
            f"{cut.label} has no table {name}", "nothing is published yet", "Start with slipway run"
        )
    return NotFoundError(f"{cut.label} has no table {name}", fix=cut.hint(name))


def _full_name(name: str, sql: str) -> str:
    """A table's name as the query writes it: DuckDB leaves out the layer when that exists."""
    found = re.search(rf'((?:"[^"]+"|\w+)\s*\.\s*)*"?{re.escape(name)}"?', sql)
    return found[0].replace('"', "") if found else name


def _reason(error: duckdb.Error) -> str:
    """The first paragraph of DuckDB's message on one line, without its kind."""
    text = " ".join(str(error).split("\n\nLINE", 1)[0].split())
    return re.sub(r"^[A-Z][\w ]{1,30} Error: ", "", text)


__all__ = ["QueryResult", "query"]


def query(
    sql: str,
    *,
    project_dir: Path | None = None,
    target: str | None = None,
    release: int | None = None,
    run: str | None = None,
    as_of: str | None = None,
    files: bool = False,
) -> QueryResult:
    """Run one reading query.

    Args:
        sql: the query in DuckDB's SQL; tables are ``layer.table``.
        project_dir: the dbt project.
        target: the environment.
        release: read the tables as this release left them.
        run: read what this run built and read: an id, a unique part of it or ``latest``.
        as_of: read the last release at or before this time, ISO 8601; UTC where it names no zone.
        files: it may read files and URLs that it names itself.

    Raises:
        UsageError: more than one of ``release``, ``run`` and ``as_of``, or not a reading query.
        NotFoundError: there is no such release, run or table.
    """
    if sum(value is not None for value in (release, run, as_of)) > 1:
        raise UsageError("--release, --run and --as-of exclude each other", fix="Give one of them")
    environment = environment_of(project_dir, target)
    found = None if run is None else find_run(environment, run)
    if found:
        environment = found.records.environment
    # in a home that is not there yet nothing can be published, and reading makes none
    opening = Opening(environment, sql, files=files) if environment.home.is_dir() else None
    with opening.closed_on_failure() if opening else nullcontext():
        from slipway.releases.published import Published  # meanwhile: pyiceberg takes a while to import

        published = Published(environment)
        cut = published.candidate(found.run_id) if found else _cut(published, release, as_of)
        result = run_query(published, cut, sql, files=files, opening=opening)
    project = find_project(project_dir)
    if not cut.mentioned_in(sql):
        return result
    if any(b"classification" in path.read_bytes() for path in (project / "contracts").glob("*.odcs.y*ml")):
        from slipway.query.classified_result import classified_result  # contracts take a while to import

        names = [column.name for column in result.columns]
        try:
            result.classified = classified_result(project, published, cut, sql, names)
        except ConfigError as error:  # contracts keep nobody from reading tables
            result.not_understood = error.line()
    return result


def _cut(published: Published, release: int | None, as_of: str | None) -> Cut:
    if release is not None:
        return published.release(release)
    return published.now() if as_of is None else published.as_of(moment(as_of, "--as-of"))


def moment(text: str, option: str) -> datetime:
    """A time in ISO 8601, in UTC where it names no zone.

    Raises:
        UsageError: it is none; the message names the option that it was given to.
    """
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text} is not a time",
            "it is read as ISO 8601",
            "Write 2011-08-31T12:00:00 or add +02:00",
        ) from None
