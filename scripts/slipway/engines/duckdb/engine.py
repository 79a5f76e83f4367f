"""DuckDB as the engine: in memory, with the extensions that read and write Iceberg and S3, and a place for what memory does not hold.

It spills to a folder of each process, below the environment's home: DuckDB's own default is the current folder, and a
system's temporary folder is often in memory itself. DuckDB removes the folder when it ends; what a killed
process left is removed by the next one.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import re
import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from duckdb import StatementType

from slipway.engines.duckdb.database import OPENING, open_database
from slipway.environments.environment import Environment
from slipway.errors import ConfigError, UnavailableError, first_line
from slipway.processes import OwnFolder, is_alive, remove_left_over
from slipway.sql_text import literal
from slipway.storage.s3 import Keys, S3Access, is_s3, s3_access

OF_ICEBERG = ("avro", "iceberg")
"""Extensions that read Iceberg tables on this machine."""
EXTENSIONS = ("httpfs", *OF_ICEBERG)
UPLOAD_PART = 10_000_000
"""Bytes of a part of an upload to S3, which each file that is being written holds in memory.

By itself DuckDB takes a ten-thousandth of 800 GB, so that a partitioned write of a dozen files exhausts a gigabyte.
"""
_UPLOAD_PARTS = 10_000  # of a file, the most that S3 allows
_ENDS = (StatementType.TRANSACTION, StatementType.SET)


def prepare(
    connection: duckdb.DuckDBPyConnection, warehouse: str, extensions: Sequence[str] = EXTENSIONS
) -> None:
    """Load the extensions of a fresh connection, fix its time zone, and have it read files so that what is read is counted.

    Args:
        connection: to a database that nothing has used yet.
        warehouse: root of the tables that it is for, a URI.
        extensions: those that are loaded; others can be loaded later.

    Raises:
        UnavailableError: an extension is neither installed as a package nor can be downloaded.
    """
    load_extensions(connection, extensions)
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    # DuckDB 1.5.5 counts the footer of a Parquet file and no column unless it fetches columns ahead, as it does from an object store anyway
    connection.execute("set global prefetch_all_parquet_files = true")
    if not is_s3(
        warehouse
    ):  # what is fetched ahead would stay in its memory, and the system keeps files itself
        connection.execute("set global enable_external_file_cache = false")
    # the type of a pandas column of objects is that of all of them: by a sample, what does not fit would be rounded
    connection.execute(f"set global pandas_analyze_sample = {2**63 - 1}")
    name = "s3_uploader_max_filesize"
    found = connection.execute(
        f"select value = '800GB' from duckdb_settings() where name = '{name}'"
    ).fetchone()
    if found and found[0]:  # else the profile says otherwise
        connection.execute(f"set global {name} = '{UPLOAD_PART * _UPLOAD_PARTS} bytes'")


def load_extensions(connection: duckdb.DuckDBPyConnection, extensions: Sequence[str] = EXTENSIONS) -> None:
    """Load what is needed for Iceberg, from the installed packages or from DuckDB's repository.

    DuckDB keeps extensions and secrets below the user's home. Where there is none (containers, users of services), it gets an
    empty folder, and extensions are loaded where their packages are.

    Raises:
        UnavailableError: an extension can be loaded from nowhere.
    """
    if not os.path.isdir(os.environ.get("HOME") or ""):  # noqa: PTH112 - a Path of nothing is the current folder
        connection.execute(f"set home_directory = {literal(str(_empty_home().path))}")
    with OPENING:
        for name in extensions:
            try:
                connection.execute(f"load {name}")
            except duckdb.Error as error:
                _load_from_elsewhere(connection, name, error)


def _load_from_elsewhere(connection: duckdb.DuckDBPyConnection, name: str, first: duckdb.Error) -> None:
    reason: Exception = first
    for statement in (*_from_package(name), f"install {name}; load {name}"):
        try:
            connection.execute(statement)
            return
        except duckdb.Error as error:
            reason = error
    package = f"duckdb-extension-{name}"
    raise UnavailableError(
        f"DuckDB extension {name} cannot be loaded",
        first_line(reason),
        f"Install the package {package} in the version of duckdb",
    ) from reason


def _from_package(name: str) -> list[str]:
    """Statements that load an extension from its installed package: kept below the home from then on, or else in place."""
    try:
        package = importlib.import_module(f"duckdb_extension_{name}")
    except ImportError:
        return []
    root = Path(str(package.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    file = literal(str(root / f"{name}.duckdb_extension"))
    return [f"install {file}; load {name}", f"load {file}"]


@cache
def _empty_home() -> OwnFolder:
    remove_left_over("home")
    return OwnFolder("home")


@contextmanager
def setting(cursor: duckdb.DuckDBPyConnection, name: str, value: str | int) -> Iterator[None]:
    """Change a setting of a connection until the block is left."""
    (before,) = cursor.execute(f"select current_setting('{name}')").fetchone() or (None,)
    cursor.execute(f"set session {name} = {literal(str(value))}")
    try:
        yield
    finally:
        cursor.execute(f"set session {name} = {literal(str(before))}")


def result_of(cursor: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyConnection:
    """Run one statement up to its result, and return the connection that holds it.

    DuckDB makes several statements of one that has a PIVOT whose columns come from the data: before it, types for these columns;
    around a COPY, CREATE or EXPLAIN, also a transaction. ``cursor.execute(sql)`` gives the result of the last of them, which for a
    COPY is that of the commit: no rows.

    Raises:
        ConfigError: the text holds more than one statement.
        duckdb.Error: a statement failed.
    """
    statements, main = _expanded(cursor, sql)
    for statement in statements[: main + 1]:
        cursor.execute(statement)
    return cursor


def execute(
    cursor: duckdb.DuckDBPyConnection, sql: str, after: Callable[[], None] = lambda: None
) -> list[tuple[Any, ...]]:
    """Run one statement with all that DuckDB makes of it, and return the rows of its result; see ``result_of``.

    Args:
        cursor: the connection.
        sql: the statement.
        after: called after each statement that moved rows, to note what it cost.

    Raises:
        ConfigError: the text holds more than one statement.
        duckdb.Error: a statement failed; the transaction that DuckDB began around it is undone.
    """
    statements, main = _expanded(cursor, sql)
    rows: list[tuple[Any, ...]] = []
    try:
        for at, statement in enumerate(statements):
            cursor.execute(statement)
            if at == main:
                rows = cursor.fetchall()
            if statement.type not in _ENDS:
                after()
    except BaseException:
        with suppress(duckdb.Error):
            if statements[0].type == StatementType.TRANSACTION:  # else every later statement fails, too
                cursor.rollback()
            elif len(statements) > 1 and statements[0].type == StatementType.SET:
                # takes its place inside of one
                cursor.execute(statements[-1])
        raise
    return rows


def _expanded(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[Sequence[duckdb.Statement], int]:
    """The statements that DuckDB makes of one, and which of them has its result."""
    statements = cursor.extract_statements(sql)
    own = written(statements)
    if len(own) != 1:
        raise ConfigError(
            "A query is not one statement",
            f"DuckDB reads {len(own)} in it",
            "Write one SELECT, with parentheses that match",
        )
    return statements, own[0]


def written(statements: Sequence[duckdb.Statement]) -> list[int]:
    """Which of the statements that DuckDB extracted from a text stand there.

    The others, which have no text of their own, are those that it adds: the begin and the end of a transaction, or the settings
    that take their place inside of one, and the types that a later statement needs.
    """
    ends = [not one.query and one.type in _ENDS for one in statements] + [True]
    added = [
        end or (not one.query and one.type == StatementType.CREATE and not ends[at + 1])
        for at, (one, end) in enumerate(zip(statements, ends, strict=False))
    ]
    return [at for at, is_added in enumerate(added) if not is_added]


def count_reads(cursor: duckdb.DuckDBPyConnection) -> None:
    """Have DuckDB count the bytes that statements of this connection read, its memory and what it spills, without printing anything."""
    cursor.execute("pragma enable_profiling = 'no_output'")
    counted = '{"TOTAL_BYTES_READ": "true", "SYSTEM_PEAK_BUFFER_MEMORY": "true", "SYSTEM_PEAK_TEMP_DIR_SIZE": "true"}'
    cursor.execute(f"pragma custom_profiling_settings = '{counted}'")
    cursor.execute("select 1")  # before the first statement there is no count, which is not the same as none


@dataclass(frozen=True)
class Used:
    """What statements took, in bytes as DuckDB counts them; None where that is not counted.

    ``bytes_read`` is from files and the object store. The others are what all of the database held at most while one of them ran:
    ``peak_memory`` in memory, ``spilled`` in temporary files, because it had no room in memory.
    """

    bytes_read: int | None = 0
    peak_memory: int | None = None
    spilled: int | None = None

    @classmethod
    def by_last(cls, cursor: duckdb.DuckDBPyConnection) -> Used:
        """By the last statement of a connection, of which ``count_reads`` asked that it is counted."""
        try:
            found = json.loads(cursor.get_profiling_information(format="json"))
        except (duckdb.Error, json.JSONDecodeError):
            found = {}
        names = ("total_bytes_read", "system_peak_buffer_memory", "system_peak_temp_dir_size")
        return cls(*(int(found[name]) if found.get(name) is not None else None for name in names))

    def __add__(self, later: Used) -> Used:
        """By these statements and later ones."""
        read = (
            None
            if self.bytes_read is None or later.bytes_read is None
            else self.bytes_read + later.bytes_read
        )
        return Used(read, _most(self.peak_memory, later.peak_memory), _most(self.spilled, later.spilled))


def _most(one: int | None, other: int | None) -> int | None:
    return max((size for size in (one, other) if size is not None), default=None)


def memory_limit(cursor: duckdb.DuckDBPyConnection) -> int | None:
    """Bytes that the database may hold in memory; None where it does not answer any more."""
    try:
        found = cursor.execute("select parse_formatted_bytes(current_setting('memory_limit'))").fetchone()
    except duckdb.Error:
        return None
    return int(found[0]) if found else None


def connect(
    environment: Environment,
    home: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    once: Mapping[str, str] | None = None,
    with_keys: bool = False,
    others: Sequence[Environment] = (),
    extensions: Sequence[str] = EXTENSIONS,
) -> duckdb.DuckDBPyConnection:
    """A new in-memory database that can read the environment's tables and spills below a home.

    Args:
        environment: whose tables.
        home: where to spill, None for nowhere.
        settings: DuckDB's, of the target; its limits among them count.
        once: settings that have to be there when the database is opened.
        with_keys: keys for S3 are needed, also where the warehouse is elsewhere.
        others: environments whose tables are read on the same connection.
        extensions: those that are loaded; loading them all takes a quarter of a second.
    """
    config: dict[str, Any] = {"temp_directory": str(spill_folder(home))} if home else {}
    config |= {key: value for key, value in (settings or {}).items() if key in ONCE}
    connection = open_database(config={**config, **(once or {})})
    prepare(connection, environment.warehouse, extensions)
    Secret(environment, always=with_keys).renew(connection)
    for number, other in enumerate(others, 1):
        if other != environment:
            Secret(other, number=number).renew(connection)
    return connection


def extensions_of(environment: Environment, *, scans: bool = True) -> tuple[str, ...]:
    """The extensions that an environment's tables are read with: only a warehouse on S3 needs httpfs, which takes a tenth of a second to load.

    Args:
        environment: whose tables.
        scans: they are read by their metadata; otherwise only their data files are.
    """
    own = ("httpfs",) if is_s3(environment.warehouse) else ()
    return (*own, *OF_ICEBERG) if scans else own


class Secret:
    """The warehouse's bucket in DuckDB: region, endpoint and the keys of the moment.

    Args:
        environment: whose warehouse.
        landing: also for the landing area, which may be in S3 while the warehouse is not.
        always: wherever both are.
        number: of an environment besides the first, whose secret is for its warehouse only.
    """

    def __init__(
        self, environment: Environment, *, landing: bool = False, always: bool = False, number: int = 0
    ) -> None:
        self._name = f"slipway_warehouse{number or ''}"
        self._scope = environment.warehouse if number else ""
        self._properties = environment.catalog_properties
        self._needed = always or is_s3(environment.warehouse) or (landing and is_s3(environment.landing))
        self._known: tuple[Keys | None] | None = None
        self._lock = threading.Lock()

    def renew(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Hand over the keys of the moment, if they are others than before.

        Raises:
            UnavailableError: keys have expired and cannot be renewed.
        """
        if not self._needed:
            return
        access = s3_access(self._properties)
        with self._lock:
            keys = access.keys()
            if self._known != (keys,):
                connection.execute(_secret_statement(access, keys, self._name, self._scope))
                self._known = (keys,)


def _secret_statement(access: S3Access, keys: Keys | None, name: str, scope: str) -> str:
    options = {"type": "s3"}
    if scope:
        options["scope"] = scope
    if access.region:
        options["region"] = access.region
    if keys:
        options |= {"key_id": keys[0], "secret": keys[1]}
        if keys[2]:
            options["session_token"] = keys[2]
    if access.endpoint:
        scheme, _, host = access.endpoint.rpartition("://")
        options |= {"endpoint": host, "use_ssl": str(scheme != "http").lower(), "url_style": "path"}
    listed = ", ".join(f"{key} {literal(value)}" for key, value in options.items())
    return f"create or replace secret {name} ({listed})"


_OWNER = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{8}")
_M_MMAP_THRESHOLD = -3  # of malloc.h
_MMAP_THRESHOLD = 128 * 1024  # bytes, as glibc begins with
ONCE = frozenset({"temp_directory", "memory_limit", "max_memory", "max_temp_directory_size", "threads"})
"""Settings of the whole database: DuckDB refuses to set some of them again once they are in use."""


def configure(settings: dict[str, Any], config: dict[str, Any], home: Path) -> None:
    """Give a database its limits when it is opened: they move out of ``settings``, which dbt-duckdb repeats on every connection."""
    for key in ONCE & settings.keys():
        config.setdefault(key, settings.pop(key))
    config.setdefault("temp_directory", str(spill_folder(home)))
    _return_freed_memory()


def _return_freed_memory() -> None:
    """Have glibc give every block of DuckDB's back to the system when it is freed.

    Once a block of some MB was freed, as batches of Arrow are, glibc keeps all blocks up to that size in heaps of
    its own, where DuckDB's lie between others: many hundred MB more than its ``memory_limit``. A threshold that
    is set does not move. Other C libraries do not have the function, or the habit.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def spill_folder(home: Path) -> Path:
    """A folder that does not exist yet, for this process; left-overs of ended ones are removed."""
    parent = spills_below(home)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        parent = Path(tempfile.gettempdir())
    for other in left_over_spills(parent):
        shutil.rmtree(other, ignore_errors=True)
    return parent / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def spills_below(home: Path) -> Path:
    """Where the processes of a home have their folders."""
    return home / "spill"


def left_over_spills(parent: Path) -> list[Path]:
    """Folders of processes of this machine that are gone."""
    host = socket.gethostname()
    owned = [(path, _OWNER.fullmatch(path.name)) for path in sorted(parent.glob(f"{host}-*"))]
    return [
        path for path, owner in owned if owner and owner["host"] == host and not is_alive(int(owner["pid"]))
    ]


@contextmanager
def limits(model: str) -> Iterator[None]:
    """Tell in one line that memory or disk did not suffice.

    Raises:
        UnavailableError: in place of DuckDB's error.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise UnavailableError(
            f"{model}: memory did not suffice",
            first_line(error),
            "Raise memory_limit, lower threads, or choose partitions of more rows (docs/reference/settings.md, Memory)",
        ) from error
    except duckdb.IOException as error:
        if "No space left" not in str(error):
            raise
        raise UnavailableError(
            f"{model}: the disk is full", first_line(error), "Make room for the warehouse and temp_directory"
        ) from error
