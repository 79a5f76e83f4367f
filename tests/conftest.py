"""A small dbt project of its own for a test that lands files, runs commands and changes the code.

Commands are processes forked from one that has imported dbt (dbt_server.py). What they published is read
by pyiceberg and SQLite alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from tests.dbt_server import verify_extensions_once

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable

ROOT = Path(__file__).parents[1]

# The same examples every time, and no test that fails because the machine is busy.
settings.register_profile(
    "slipway", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("slipway")

# A runner that was started in the background ignores Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV")
HEADER = "parcel,depot,weighed_on,kg"
DAY_1 = ("p1,N,2024-05-01,1.5", "p2,S,2024-05-01,2", "p3,S,2024-05-01,heavy")
DAY_2 = ("p4,N,2024-05-02,0.25", "p5,N,2024-05-02,4")


def some(every: int, cases: Iterable[Any]) -> list[Any]:
    """Cases of a test, of which the ordinary suite takes every n-th, from the first on, and the long one takes all."""
    return [
        case if at % every == 0 else pytest.param(case, marks=pytest.mark.long)
        for at, case in enumerate(cases)
    ]


@dataclass(frozen=True)
class Output:
    """What a command printed and how it ended; no code means that it was killed."""

    out: str
    err: str
    code: int | None


class Running:
    """A command that runs."""

    def __init__(self, connection: socket.socket, out: Path, err: Path) -> None:
        self._connection, self._out, self._err = connection, out, err
        self._stream = connection.makefile("r")
        self.pid = int(self._stream.readline())

    def told(self) -> str:
        """What it has printed so far."""
        return "".join(path.read_text(encoding="utf-8") for path in (self._out, self._err) if path.exists())

    def wait(self, seconds: float = 120) -> Output:
        """Wait for its end; one that does not come to it is killed."""
        self._connection.settimeout(seconds)
        with self._connection, self._stream:
            try:
                code = self._stream.readline().strip()
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise
        errors = self._err.read_text(encoding="utf-8") if self._err.exists() else ""
        out = self._out.read_text(encoding="utf-8") if self._out.exists() else ""
        return Output(out, errors, code=int(code) if code else None)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()


class Commands:
    """Starts commands, each as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._socket = folder / "commands.socket"
        server = [sys.executable, str(ROOT / "tests" / "dbt_server.py"), str(self._socket)]
        self._server = subprocess.Popen(server, env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")})

    def start(
        self,
        program: str,
        argv: Sequence[str],
        cwd: Path,
        env: dict[str, str],
        *,
        together: bool = False,
        **more: object,
    ) -> Running:
        """Start ``dbt`` or ``slipway``.

        Args:
            program: one of the two.
            argv: its arguments.
            cwd: the folder it starts in.
            env: its whole environment.
            together: what it prints on stderr is with what it prints on stdout.
            more: what else dbt_server.py is asked for.
        """
        self._count += 1
        out, err = self._folder / f"out-{self._count}", self._folder / f"err-{self._count}"
        request = {"program": program, "argv": argv, "cwd": str(cwd), "env": env, "output": str(out), **more}
        connection = self._connect()
        connection.sendall(json.dumps(request | ({} if together else {"errors": str(err)})).encode() + b"\n")
        return Running(connection, out, err)

    def stop(self) -> None:
        self._server.kill()
        self._server.wait()

    def _connect(self) -> socket.socket:
        for _ in range(1200):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._socket))
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                assert self._server.poll() is None, "the server did not start"
                time.sleep(0.05)
        raise TimeoutError("the server did not start within a minute")


@dataclass
class Workshop:
    """A dbt project that weighs parcels, where its tables are kept, and what lands."""

    commands: Commands
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """Where its commands put what they do not keep."""
        return self.folder / "temporary"

    def env(self, **settings: str) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return passed_on | {
            "TMPDIR": str(self.temporary),  # doctor looks at what others left there
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "SLIPWAY_HOME": str(self.home),
            "SLIPWAY_LANDING": str(self.folder / "landing"),
            **self.settings,
            **settings,
        }

    def start(
        self,
        *argv: str,
        program: str = "slipway",
        kill_before: str = "",
        kill_after: str = "",
        clock: str = "",
        terminal: str = "",
        **settings: str,
    ) -> Running:
        """Start a command in the project's folder, to be killed around a call, by a wrong clock, or with a terminal."""
        return self.commands.start(
            program,
            argv,
            self.project,
            self.env(**settings),
            kill_before=kill_before,
            kill_after=kill_after,
            clock=clock,
            terminal=terminal,
        )

    def slipway(self, *argv: str, **settings: str) -> Output:
        """Run ``slipway``, whatever comes of it."""
        return self.start(*argv, **settings).wait()

    def answer(self, *argv: str, **settings: str) -> str:
        """What a command that succeeds prints on stdout."""
        done = self.slipway(*argv, **settings)
        assert done.code == 0, done
        return done.out

    def run(self, *argv: str, code: int = 0, **settings: str) -> dict[str, Any]:
        """``slipway run --output json``: stdout holds the run manifest and nothing else."""
        done = self.slipway("run", *argv, "--output", "json", **settings)
        assert done.code == code, done
        found: dict[str, Any] = json.loads(done.out)
        return found

    def refusal(self, *argv: str, code: int, **settings: str) -> str:
        """The one line on stderr of a command that is refused; nothing is on stdout."""
        done = self.slipway(*argv, **settings)
        assert (done.code, done.out) == (code, ""), done
        last = done.err.splitlines()[-1]
        assert last.startswith("slipway: "), done.err
        assert "Traceback" not in done.err
        return last.removeprefix("slipway: ")

    def dbt(self, *argv: str, code: int = 0) -> str:
        """What a dbt command prints that ends with a code."""
        done = self.start(*argv, program="dbt").wait()
        assert done.code == code, done
        return done.out + done.err

    def land(self, name: str, rows: Sequence[str], header: str = HEADER) -> None:
        target = self.folder / "landing" / "parcels" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join([header, *rows, ""]), encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        target = self.project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text that occurs once in a file of the project."""
        text = (self.project / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, text
        self.write(name, text.replace(old, new))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """The project and the landing area are afterwards as they were before."""
        saved = self.folder / "saved"
        for name in ("project", "landing"):
            shutil.copytree(self.folder / name, saved / name)
        try:
            yield
        finally:
            for name in ("project", "landing"):
                shutil.rmtree(self.folder / name)
                (saved / name).rename(self.folder / name)
            saved.rmdir()

    def git(self, *arguments: str) -> str:
        """Run git in the project's folder."""
        named = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *named, "-C", str(self.project), *arguments]
        done = subprocess.run(command, env=self.env(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything, in a repository that is made when there is none; returns the commit."""
        if not (self.project / ".git").exists():
            self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def warehouse(self, target: str = "dev") -> Path:
        return self.home / target / "warehouse"

    def locations(self, target: str = "dev") -> dict[str, str]:
        """Tables that the catalog names, ``schema.table`` to metadata location."""
        database = self.home / target / "catalog.db"
        if not database.exists():
            return {}
        connection = sqlite3.connect(database)
        query = "select table_namespace || '.' || table_name, metadata_location from iceberg_tables"
        try:
            return dict(connection.execute(query).fetchall())
        finally:
            connection.close()

    def published(self, target: str = "dev") -> dict[str, str]:
        """The same without the ledger."""
        return {name: path for name, path in self.locations(target).items() if not name.startswith("ops.")}

    def table(self, name: str, target: str = "dev") -> StaticTable:
        """A published table as pyiceberg reads it."""
        return static(self.locations(target)[name])

    def lease(self, *tables: str, target: str = "dev", run_id: str = "20240501T000000Z-00000000") -> Path:
        """The lease of a run of another machine, for these tables or for all."""
        path = self.warehouse(target) / "_slipway" / "leases" / f"{run_id}.json"
        path.parent.mkdir(exist_ok=True)
        taken = {
            "run_id": run_id,
            "number": 1,
            "who": "ada",
            "host": "harbour",
            "place": "elsewhere",
            "pid": 1,
        }
        taken |= {"process": "1", "since": "2024-05-01T00:00:00Z", "tables": list(tables) or None}
        path.write_text(json.dumps(taken), encoding="utf-8")
        return path

    def manifests(self, target: str = "dev") -> list[dict[str, Any]]:
        """Run manifests in the warehouse, oldest first."""
        return manifests(self.warehouse(target))

    def releases(self, target: str = "dev") -> list[dict[str, Any]]:
        """Release records in order of their number."""
        folder = self.warehouse(target) / "_slipway" / "releases"
        return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


def static(metadata_location: str) -> StaticTable:
    """A table as pyiceberg reads it from one metadata file."""
    from pyiceberg.table import StaticTable

    return StaticTable.from_metadata(metadata_location)


def manifests(warehouse: Path) -> list[dict[str, Any]]:
    """Run manifests below a warehouse folder, oldest first."""
    found = [json.loads(path.read_bytes()) for path in warehouse.glob("_slipway/runs/*/*/run_manifest.json")]
    return sorted(found, key=lambda manifest: str(manifest["started_at"]))


@pytest.fixture(scope="session", autouse=True)
def extensions() -> None:
    """Tests that open databases in this process need not wait for them either."""
    verify_extensions_once()


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """The process that starts commands, one per worker."""
    started = Commands(tmp_path_factory.mktemp("commands"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def parsed(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the machinery's macros, and dbt's state of having parsed it."""
    folder = tmp_path_factory.mktemp("parsed")
    shutil.copytree(ROOT / "tests" / "cli" / "project", folder / "project")
    macros = folder / "project" / "macros"
    shutil.copytree(ROOT / "macros", macros, ignore=shutil.ignore_patterns("retail"))
    shutil.copy(ROOT / "profiles.yml", folder / "project")
    (folder / "temporary").mkdir()
    Workshop(commands, folder).dbt("--quiet", "parse")
    return folder


@pytest.fixture(scope="session")
def new_workshop(commands: Commands, parsed: Path) -> Callable[[Path], Workshop]:
    """Makes a copy of the project with two days' files landed; one of five rows is not a number."""

    def make(folder: Path) -> Workshop:
        found = Workshop(commands, folder)
        for name in ("project", "target"):
            shutil.copytree(parsed / name, folder / name)
        (folder / "temporary").mkdir()
        found.land("day-1.csv", DAY_1)
        found.land("day-2.csv", DAY_2)
        return found

    return make


@pytest.fixture
def workshop(new_workshop: Callable[[Path], Workshop], tmp_path: Path) -> Workshop:
    """A copy of the project of the test's own."""
    return new_workshop(tmp_path)


@pytest.fixture(scope="session")
def first_run(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The same after ``slipway run``, and a copy of all its files."""
    folder = tmp_path_factory.mktemp("first") / "run"
    folder.mkdir()
    found = new_workshop(folder)
    found.run()
    shutil.copytree(folder, folder.with_name("kept"))
    return found


@pytest.fixture
def built(first_run: Workshop) -> Workshop:
    """The same for a test that may change it: put back where it was built, because metadata names files by whole paths."""
    put_back(first_run.folder)
    return replace(first_run, settings={})


def put_back(folder: Path) -> None:
    """Have a folder as it was when it was copied to ``kept`` beside it."""
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)
