"""One published environment with a history, which the tests of the reading commands share.

====== ================================================================================ ==============
run    what landed or changed                                                           outcome
====== ================================================================================ ==============
first  day-1 (3 rows, one whose kg is no number), day-2 (2 rows), no-header (set aside) release 1
same   nothing                                                                          unchanged
second day-3 (1 row); the model depot_weights gains a column                            release 2
slice  nothing; only the first day, in a  scratch environment                           published there
failed day-4 (1 row that weighs less than nothing)                                      failed
killed nothing; the process is killed at the end, before it decides                     incomplete
====== ================================================================================ ==============
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.commands import Output
from tests.harness.projects import Workshop

from slipway import secrets
from slipway.cli.main import main

if TYPE_CHECKING:
    from tests.harness.commands import Commands

MODEL = "models/serving/depot_weights.sql"


@dataclass(frozen=True)
class Printed(Output):
    """What a command of this process printed, as bytes, too."""

    stdout: bytes


@dataclass
class World(Workshop):
    """The project, its environment ``dev``, and the ids of the runs in it by their name above.

    Its ``slipway`` commands run in this process: those of ``workshop`` are processes of their own.
    """

    runs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, workshop: Workshop) -> World:
        return cls(workshop.commands, workshop.folder, workshop.settings)

    @property
    def workshop(self) -> Workshop:
        return Workshop(self.commands, self.folder, self.settings)

    def env(self, **settings: str) -> dict[str, str]:
        return {**super().env(), "DBT_PROJECT_DIR": str(self.path), **settings}

    def slipway(self, *argv: str, stdin: str = "", **settings: str) -> Printed:
        """Run the command in this process, with an environment and standard streams of its own."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        wanted = self.env(**settings)
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - wanted.keys():
                patch.delenv(name)
            for name, value in wanted.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(secrets, "_known", {})  # what another test has masked in this process
            patch.setattr(sys, "argv", ["slipway", *argv])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as end:
                main()
        out.seek(0)
        err.seek(0)
        assert isinstance(end.value.code, int)
        printed = out.buffer.read()
        text = printed.decode(errors="replace")
        return Printed(text, err.buffer.read().decode(), end.value.code, printed)

    def refusal(self, *argv: str, code: int, **settings: str) -> str:
        """The one line that a command which is refused prints on stderr; nothing is on stdout."""
        done = self.slipway(*argv, **settings)
        assert (done.code, done.out) == (code, ""), done
        assert done.err.startswith("slipway: "), done.err
        assert done.err.count("\n") == 1, done.err
        return done.err.removeprefix("slipway: ").strip()


@pytest.fixture(scope="session")
def world(
    commands: Commands,
    new_workshop: Callable[[Path], Workshop],
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
) -> World:
    """The environment with its whole history; made once for all workers, and only read."""
    base = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    ready, folder = base / "world.json", base / "world"
    with (base / "world.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists():
            return World(commands, folder, runs=json.loads(ready.read_text(encoding="utf-8")))
        shutil.rmtree(folder, ignore_errors=True)
        found = World.of(new_workshop(folder))
        _history(found)
        ready.write_text(json.dumps(found.runs), encoding="utf-8")
        return found


@pytest.fixture
def published(released: Workshop) -> Iterator[Workshop]:
    """What the module has published, for a test that changes the code; what is published stays as it is."""
    with released.restored():
        yield released


@pytest.fixture
def empty(workshop: Workshop) -> World:
    """The project with an environment in which nothing ever ran."""
    return World.of(workshop)


def _history(world: World) -> None:
    workshop = world.workshop
    workshop.land("no-header.csv", ("p9,N",), header="parcel,depot")
    workshop.dbt("build")
    _note(world, "first")
    workshop.dbt("build")
    _note(world, "same")
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.edit(MODEL, "    sum(kg) as kg", "    sum(kg) as kg,\n    max(kg) as heaviest")
    workshop.dbt("build")
    _note(world, "second")
    workshop.dbt("build", "--vars", "{slice: {from: 2024-05-01, to: 2024-05-02}}")
    (scratch,) = (world.home / "scratch").iterdir()
    world.runs["slice"] = scratch.name
    workshop.land("day-4.csv", ("p7,N,2024-05-04,-1",))
    workshop.dbt("build", code=1)
    _note(world, "failed")
    killed = workshop.start("build", program="dbt", kill_before="slipway.dbt.session:conclude").wait()
    assert killed.code is None, killed
    _note(world, "killed")


def _note(world: World, name: str) -> None:
    known = set(world.runs.values())
    (run,) = {path.name for path in world.warehouse().glob("_slipway/runs/*/*")} - known
    world.runs[name] = run
