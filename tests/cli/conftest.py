"""One small published environment that the tests of the reading commands share.

Its history, oldest run first:

====== ======================================================================================== ==============
run    what landed or changed                                                                     outcome
====== ======================================================================================== ==============
first  day-1 (3 rows, one whose kg is no number), day-2 (2 rows), no-header (set aside)          release 1
same   nothing                                                                                    unchanged
second day-3 (1 row); the model depot_weights gains a column                                      release 2
slice  nothing; the first day alone, in a scratch environment                                     published
failed day-4 (1 row that weighs less than nothing)                                                failed
killed nothing; the process is killed at the end, before it decides                                  incomplete
====== ======================================================================================== ==============
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.cli.main import main

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "project"
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
HEADER = "parcel,depot,weighed_on,kg"
DAY_1 = ("p1,N,2024-05-01,1.5", "p2,S,2024-05-01,2", "p3,S,2024-05-01,heavy")
DAY_2 = ("p4,N,2024-05-02,0.25", "p5,N,2024-05-02,4")
DAY_3 = ("p6,S,2024-05-03,10.125",)
DAY_4 = ("p7,N,2024-05-04,-1",)


@dataclass(frozen=True)
class Output:
    """What a command printed and how it ended."""

    stdout: bytes
    stderr: bytes
    code: int

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def err(self) -> str:
        return self.stderr.decode()


@dataclass(frozen=True)
class World:
    """A dbt project, its environment ``dev``, and the ids of the runs in it by their name above."""

    folder: Path
    runs: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def warehouse(self) -> Path:
        return self.home / "dev" / "warehouse"

    def env(self, **settings: str) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return passed_on | {
            "DBT_PROJECT_DIR": str(self.folder / "project"),
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "SLIPWAY_HOME": str(self.home),
            "SLIPWAY_LANDING": str(self.folder / "landing"),
            **settings,
        }

    def slipway(self, *arguments: str, stdin: str = "", **settings: str) -> Output:
        """Run the command in this process, with the environment and standard streams of its own."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - self.env(**settings).keys():
                patch.delenv(name)
            for name, value in self.env(**settings).items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["slipway", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as end:
                main()
        out.seek(0)
        err.seek(0)
        assert isinstance(end.value.code, int)
        return Output(out.buffer.read(), err.buffer.read(), end.value.code)

    def answer(self, *arguments: str, stdin: str = "", **settings: str) -> str:
        """What a command that succeeds prints on stdout."""
        done = self.slipway(*arguments, stdin=stdin, **settings)
        assert done.code == 0, done.err
        return done.out

    def refusal(self, *arguments: str, code: int, **settings: str) -> str:
        """The one line that a command which is refused prints on stderr; nothing is on stdout."""
        done = self.slipway(*arguments, **settings)
        assert (done.code, done.out) == (code, ""), done
        assert done.err.startswith("slipway: "), done.err
        assert done.err.count("\n") == 1, done.err
        return done.err.removeprefix("slipway: ").strip()

    def land(self, name: str, rows: tuple[str, ...], header: str = HEADER) -> None:
        target = self.folder / "landing" / "parcels" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join([header, *rows, ""]), encoding="utf-8")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> World:
    """The environment with its whole history; made once for all workers, and only read."""
    base = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    found = World(base / "parcels", {})
    with (base / "parcels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names = base / "parcels.json"
        if not names.exists():
            _history(found)
            names.write_text(json.dumps(found.runs), encoding="utf-8")
        found.runs.update(json.loads(names.read_text(encoding="utf-8")))
    return found


@pytest.fixture
def empty(tmp_path: Path) -> World:
    """The project with an environment in which nothing ever ran."""
    found = World(tmp_path, {})
    _copy_project(found)
    return found


class Dbt:
    """dbt for one project: each command a process of its own, forked from one that has imported dbt."""

    def __init__(self, world: World) -> None:
        self._world, self._socket = world, world.folder / "dbt.socket"
        server = ROOT / "tests" / "integration" / "dbt_server.py"
        command = [sys.executable, str(server), str(self._socket)]
        self._server = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")})

    def __call__(self, *arguments: str, code: str = "0", kill_before: str = "") -> None:
        """Run a command that ends with a code; it has none when it is killed."""
        output = self._world.folder / "dbt.log"
        request = {
            "argv": ["--quiet", *arguments],
            "cwd": str(self._world.folder / "project"),
            "env": self._world.env(),
            "output": str(output),
            "kill_before": kill_before,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            self._connect(connection)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("r") as stream:
                _, ended = stream.readline(), stream.readline().strip()
        assert ended == code, output.read_text(encoding="utf-8")

    def stop(self) -> None:
        self._server.kill()
        self._server.wait()

    def _connect(self, connection: socket.socket) -> None:
        for _ in range(1200):
            try:
                connection.connect(str(self._socket))
                return
            except (FileNotFoundError, ConnectionRefusedError):
                assert self._server.poll() is None, "the dbt server did not start"
                time.sleep(0.05)
        raise TimeoutError("the dbt server did not start within a minute")


def _history(world: World) -> None:
    _copy_project(world)
    dbt = Dbt(world)
    try:
        _runs(world, dbt)
    finally:
        dbt.stop()


def _runs(world: World, dbt: Dbt) -> None:
    world.land("day-1.csv", DAY_1)
    world.land("day-2.csv", DAY_2)
    world.land("no-header.csv", ("p9,N,2024-05-09,1",), header="parcel,depot")
    dbt("build")
    _note(world, "first")
    dbt("build")
    _note(world, "same")
    world.land("day-3.csv", DAY_3)
    model = world.folder / "project" / "models" / "serving" / "depot_weights.sql"
    text = model.read_text(encoding="utf-8")
    model.write_text(
        text.replace("    sum(kg) as kg", "    sum(kg) as kg,\n    max(kg) as heaviest"), encoding="utf-8"
    )
    dbt("build")
    _note(world, "second")
    dbt("build", "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    scratch = world.home / "scratch"
    world.runs["slice"] = next(folder.name for folder in scratch.iterdir())
    world.land("day-4.csv", DAY_4)
    dbt("build", code="1")
    _note(world, "failed")
    dbt("build", code="", kill_before="slipway.adapters.dbt.finish:finish")
    _note(world, "killed")


def _copy_project(world: World) -> None:
    project = world.folder / "project"
    shutil.copytree(PROJECT, project)
    shutil.copytree(ROOT / "macros", project / "macros", ignore=shutil.ignore_patterns("retail"))
    shutil.copy(ROOT / "profiles.yml", project)


def _note(world: World, name: str) -> None:
    known = set(world.runs.values())
    (run,) = {path.name for path in (world.warehouse / "_slipway" / "runs").glob("*/*")} - known
    world.runs[name] = run
