"""Starts dbt and slipway commands as processes of their own without importing dbt anew for each.

It imports once and forks for every command, so a command has its own memory, environment, folder and exit
code, and can be killed like any process. A request is one line of JSON on a Unix socket: ``argv``, ``cwd``,
``env``, ``output``, ``kill_before`` or ``kill_after``, a function before or after whose first call (``…#3``: third;
``…+0.05``: and 50 ms later) the process is killed, ``stop_before``, one before which it stops until it gets SIGCONT, ``clock``, seconds by which the command's clock is ahead, ``program``
(``dbt``, ``slipway``, or ``python`` for code), and ``errors``, where stderr goes if not to ``output``.
``terminal`` is what stdin reads from.
The answer is the process id at once and the exit code at the end; no exit code means that it was killed.
"""

from __future__ import annotations

import datetime as dt
import functools
import gc
import importlib
import itertools
import json
import multiprocessing.util
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


FORKED = """\
#!/bin/sh
'''exec' "{python}" -IS "$0" "$@"
' '''
import json, os, signal, socket, sys

if sys.argv[1:2] != ["-m"] or sys.argv[2].partition(".")[0] not in ("dbt", "slipway"):
    os.execv("{python}", ["{python}", *sys.argv[1:]])
_, _, module, *argv = sys.argv
fork = socket.socket(socket.AF_UNIX)
fork.connect({path!r})
streams = [f"/proc/{{os.getpid()}}/fd/{{number}}" for number in (1, 2)]
request = {{"program": module.partition(".")[0], "argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}}
fork.sendall(json.dumps(request | dict(zip(("output", "errors"), streams))).encode() + b"\\n")
answers = fork.makefile()
process = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda given, _: os.kill(process, given))
code = answers.readline().strip()
sys.exit(int(code)) if code else os.kill(os.getpid(), signal.SIGKILL)
"""
"""Stands for Python where a command starts another by ``-m``, such as a canary does: that one is forked from here, too. Other modules are Python's to run."""


def serve(path: str, owner: int) -> None:
    """Answer requests until the process of the test run is gone."""
    preload()
    forked = Path(f"{path}.python")
    forked.write_text(FORKED.format(python=sys.executable, path=path), encoding="utf-8")
    forked.chmod(0o755)
    sys.executable = str(forked)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    listener.settimeout(1.0)
    while is_alive(owner):
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            answer(connection)
        connection.close()


def is_alive(process: int) -> bool:
    """Whether there is a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def preload() -> None:
    """Import what every command needs; nothing is opened, so that it can be forked."""
    for name in (
        "dbt.cli.main",
        "dbt.adapters.slipway",
        "dbt.adapters.duckdb",
        "dbt.adapters.duckdb.impl",
        "dbt.adapters.duckdb.environments.local",
        "dbt.task.build",
        "dbt.task.docs.generate",
        "dbt_common.clients.agate_helper",
        "babel.dates",
        "cryptography.hazmat.backends.openssl",
        "cryptography.hazmat.primitives.asymmetric.padding",
        "cryptography.hazmat.primitives.serialization",
        "cryptography.x509",
        "encodings.ascii",
        "encodings.utf_8_sig",
        "multiprocessing.dummy",
        "open_data_contract_standard",
        "pandas",
        "pyarrow.acero",
        "pyarrow.parquet",
        "pyiceberg.catalog.sql",
        "pyiceberg.io.pyarrow",
        "rich.console",
        "rich.table",
        "securesystemslib.signer",
        "slipway.canary.compare_versions",
        "slipway.ci.build_change",
        "slipway.cli.doctor",
        "slipway.cli.progress_line",
        "slipway.cli.releases",
        "slipway.cli.run_screen",
        "slipway.cli.sql",
        "slipway.dbt.plugin",
        "slipway.dbt.start",
        "slipway.doctor.examination",
        "slipway.iceberg.catalogs.sql_catalog",
        "slipway.promotion.build_again",
        "slipway.promotion.planning",
        "slipway.query.queries",
        "slipway.storage.s3",
        "slipway.telemetry.export",
        "sqlalchemy.dialects.sqlite",
    ):
        importlib.import_module(name)
    verify_extensions_once()
    read_services_once()
    take_shorter_ways()
    warm_up()


def take_shorter_ways() -> None:
    """Have dbt and pyiceberg come to the same sooner; the module is then forgotten, or it would be of the code of every run."""
    ways = importlib.import_module("same_sooner")
    ways.shorten_dbt()
    ways.shorten_pyiceberg()
    del sys.modules["same_sooner"]


def verify_extensions_once() -> None:
    """Load DuckDB's extensions once as slipway does, and from then on without reading all 80 MB for their signatures.

    DuckDB does that for each database it opens, a quarter of a second of every command. Commands that tests start
    without this process do it as well.
    """
    import duckdb

    from slipway.engines.duckdb.engine import load_extensions

    real = duckdb.connect
    with real(config={"threads": 1}) as connection:
        load_extensions(connection)

    def connect(
        database: str = ":memory:", read_only: bool = False, config: dict[str, Any] | None = None
    ) -> duckdb.DuckDBPyConnection:
        return real(database, read_only, {"allow_unsigned_extensions": "true", **(config or {})})

    duckdb.connect = connect  # type: ignore[assignment]


def read_services_once() -> None:
    """Have botocore read its descriptions of services once, and not for each client: those of S3 and Glue take a tenth of a second."""
    from botocore.loaders import JSONFileLoader

    real = JSONFileLoader.load_file
    kept = functools.cache(lambda path: real(JSONFileLoader(), path))
    JSONFileLoader.load_file = lambda _, path: kept(path)  # type: ignore[method-assign, assignment]


def warm_up() -> None:
    """Do once what dbt does in every process anew: write its readers and writers of records, and compile all macros.

    Its files of JSON are written at once, by the encoder in C, instead of token by token; they are the same. It keeps what it
    parsed of each text, as its own tests have it do: most of a parse are the macros that dbt and its adapter bring.
    """
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest
    from dbt_common.clients.jinja import template_cache
    from dbt_common.tests import enable_test_caching

    from slipway.code.versions import versions_of
    from slipway.dbt.keys.jinja_code import dispatched
    from slipway.dbt.keys.node_key import engine

    enable_test_caching()
    engine()
    versions_of(ROOT)
    build_records()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "project"
        shutil.copytree(ROOT / "tests" / "integration" / "project", path)
        shutil.copy(ROOT / "profiles.yml", path)
        places = ["--project-dir", str(path), "--profiles-dir", str(path), "--log-path", f"{folder}/logs"]
        for _ in range(2):
            # dbt's parser in Rust starts threads, which a fork does not have: each command starts its own
            done = dbtRunner().invoke(["--quiet", "--no-static-parser", "parse", *places])
            assert done.success, done.exception
    do_once()
    assert isinstance(done.result, Manifest)
    for macro in done.result.macros.values():
        template_cache.get_node_template(macro)
        dispatched(macro.macro_sql)  # reads its Jinja, which is kept
    json.dump = lambda found, file, **how: file.write(json.dumps(found, **how))
    reset_adapters()
    gc.collect()  # their locks, too: multiprocessing reports what is left when this process is killed
    gc.freeze()  # so that no command goes through all this again, and copies its pages
    gc.set_threshold(100_000, 20, 20)  # nor often through what it makes itself in its second or two


def build_records() -> None:
    """Have pydantic build the classes of records and of Iceberg's metadata, which a command builds when it needs one."""
    from pydantic import BaseModel

    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        known = waiting.pop()
        waiting += known.__subclasses__()
        if known.__module__.startswith(("slipway.", "pyiceberg.", "open_data_contract_standard.")):
            known.model_rebuild(raise_errors=False)


def do_once() -> None:
    """The rest of what dbt and botocore work out in every process anew, although it comes to the same."""
    import boto3
    import parsedatetime  # type: ignore[import-untyped]
    import sqlalchemy
    from dbt.adapters.contracts.connection import AdapterResponse
    from dbt.adapters.duckdb.relation import DuckDBRelation
    from dbt.artifacts.schemas.results import TimingInfo
    from dbt.task.run import get_hook
    from dbt.task.test import TestResultData
    from dbt_common.behavior_flags import BehaviorFlagRendered
    from dbt_common.clients.agate_helper import build_type_tester

    parsedatetime.Constants = functools.cache(
        parsedatetime.Constants
    )  # of a locale, for each result of a query
    build_type_tester(())
    with sqlalchemy.create_engine("sqlite://").connect():
        pass  # SQLAlchemy has compiled what it reads versions and names by
    # found by going through all modules and the sources of all callers
    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters.base.impl")  # type: ignore[method-assign]
    for service in ("s3", "glue"):
        boto3.client(service, "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    DuckDBRelation.create(database="a", schema="b", identifier="c").to_dict()
    get_hook("select 1", 0)
    AdapterResponse("OK").to_dict()
    TimingInfo("compile").to_dict()
    data = {"failures": 0, "should_warn": False, "should_error": False, "adapter_response": {}}
    TestResultData.validate(data)
    TestResultData.from_dict(data)


def answer(connection: socket.socket) -> None:
    """Run one command in this process and leave."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stream = connection.makefile("rw")
    request = json.loads(stream.readline())
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    code = 70
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        tempfile.tempdir = (
            None  # a command's own TMPDIR counts, not the one that was looked up before the fork
        )
        sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        output = os.open(request["output"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(os.open(request["errors"], os.O_CREAT | os.O_WRONLY) if request.get("errors") else output, 2)
        if request.get("terminal"):
            os.dup2(os.open(request["terminal"], os.O_RDWR | os.O_NOCTTY), 0)
        for when in ("kill_before", "kill_after"):
            if name := request.get(when):
                kill(name, after=when == "kill_after")
        if name := request.get("stop_before"):
            kill(name, after=False, by=signal.SIGSTOP)
        if request.get("clock"):
            shift_clock(float(request["clock"]))
        code = PROGRAMS[request["program"]](request["argv"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        multiprocessing.util._exit_function()  # type: ignore[attr-defined] # as when a process ends by itself
        stream.write(f"{code}\n")
        stream.flush()
        os._exit(code)


def dbt(argv: list[str]) -> int:
    """What the console script ``dbt`` does."""
    from dbt.cli.main import cli

    return called(cli, ["dbt", *argv])


def slipway(argv: list[str]) -> int:
    """What the console script ``slipway`` does."""
    from slipway.cli.main import main

    return called(main, ["slipway", *argv])


def python(argv: list[str]) -> int:
    """What ``python -c`` does with code."""
    exec(argv[0], {"__name__": "__main__"})  # noqa: S102 - a test's own
    return 0


def called(command: Callable[[], object], argv: list[str]) -> int:
    """The exit code of a console script."""
    sys.argv = argv
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


PROGRAMS = {"dbt": dbt, "slipway": slipway, "python": python}


def kill(name: str, *, after: bool, by: signal.Signals = signal.SIGKILL) -> None:
    """Replace ``module:Class.function`` by one that ends the process as ``kill -9`` does, or stops it, around its ``#n``th call."""
    name, _, delay = name.partition("+")
    name, _, number = name.partition("#")
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, last = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    real, calls = getattr(owner, last), itertools.count(1)

    def killed(*arguments: object, **named: object) -> object:
        is_it = next(calls) == int(number or 1)
        if is_it and not after:
            die(float(delay or 0), by)
        done = real(*arguments, **named)
        if is_it and after:
            die(float(delay or 0), by)
        return done

    replacement: Callable[..., object] = killed
    setattr(owner, last, replacement)


def die(seconds: float, by: signal.Signals) -> None:
    """End the process now, or wherever it is that much later: nobody handles this alarm, so the kernel ends it."""
    if seconds:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    else:
        os.kill(os.getpid(), by)


CLOCKS = (
    "slipway.runs.repeat",
    "slipway.dbt.start",
    "slipway.releases.roll_back",
    "slipway.releases.publication",
    "slipway.dbt.conclude",
    "slipway.runs.end",
    "slipway.iceberg.snapshots",
    "pyiceberg.table.update",
)
"""Modules that ask for the time of day by ``datetime``; everything else asks ``time.time``."""


def shift_clock(seconds: float) -> None:
    """Have this process believe that it is later, or earlier, than it is."""
    ahead, real = dt.timedelta(seconds=seconds), time.time

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Shifted:
            return super().now(tz) + ahead

    for name in CLOCKS:
        setattr(importlib.import_module(name), "datetime", Shifted)  # noqa: B010 - mypy refuses it otherwise
    time.time = lambda: real() + seconds


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
