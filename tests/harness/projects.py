"""dbt projects of the tests' own: made, changed, run, and read only by pyiceberg and SQLite."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness.commands import ROOT, Commands, Output, Running, environment

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable

HEADER = "parcel,depot,weighed_on,kg"
TABLES = {"reference.depots", "raw.parcels", "curated.weights", "quarantine.weights", "serving.depot_weights"}
"""What the workshop's project publishes."""


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
        own = {
            "TMPDIR": str(self.temporary),  # doctor looks at what others left there
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        return environment(self.folder, **{**own, **self.settings, **settings})

    def start(
        self,
        *argv: str,
        program: str = "slipway",
        kill_before: str = "",
        kill_after: str = "",
        stop_before: str = "",
        clock: str = "",
        terminal: str = "",
        **settings: str,
    ) -> Running:
        """Start a command in the project's folder, to be killed or stopped around a call, by a wrong clock, or with a terminal."""
        return self.commands.start(
            program,
            argv,
            self.project,
            self.env(**settings),
            kill_before=kill_before,
            kill_after=kill_after,
            stop_before=stop_before,
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
        write(self.project / name, text)

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
        return locations(self.home / target / "catalog.db")

    def published(self, target: str = "dev") -> dict[str, str]:
        """The same without the ledger."""
        return published(self.home / target / "catalog.db")

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
        return releases(self.warehouse(target))


def static(metadata_location: str) -> StaticTable:
    """A table as pyiceberg reads it from one metadata file."""
    from pyiceberg.table import StaticTable

    return StaticTable.from_metadata(metadata_location)


def manifests(warehouse: Path) -> list[dict[str, Any]]:
    """Run manifests below a warehouse folder, oldest first."""
    found = [json.loads(path.read_bytes()) for path in warehouse.glob("_slipway/runs/*/*/run_manifest.json")]
    return sorted(found, key=lambda manifest: str(manifest["started_at"]))


def releases(warehouse: Path) -> list[dict[str, Any]]:
    """Release records below a warehouse folder, in order of their number."""
    return [json.loads(path.read_bytes()) for path in sorted(warehouse.glob("_slipway/releases/*.json"))]


def locations(database: Path) -> dict[str, str]:
    """Tables that a catalog in SQLite names, ``schema.table`` to metadata location; none before it has tables."""
    if not database.exists():
        return {}
    query = "select table_namespace || '.' || table_name, metadata_location from iceberg_tables"
    with closing(sqlite3.connect(database)) as connection:
        try:
            return dict(connection.execute(query).fetchall())
        except (
            sqlite3.OperationalError
        ):  # a command was killed before it made them, or none has opened it yet
            return {}


def published(database: Path) -> dict[str, str]:
    """The same without the ledger."""
    return {name: path for name, path in locations(database).items() if not name.startswith("ops.")}


def write(path: Path, text: str) -> None:
    """Write a file, and make its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def new_project(source: Path, folder: Path) -> None:
    """A copy of a project with the profile of this repository."""
    shutil.copytree(source, folder)
    shutil.copy(ROOT / "profiles.yml", folder)


def put_back(folder: Path) -> None:
    """Have a folder as it was when it was copied to ``kept`` beside it."""
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)
