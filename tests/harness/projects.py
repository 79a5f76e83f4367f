"""dbt projects of the tests' own: made, changed, run, and read only by pyiceberg and SQLite."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness.commands import ROOT, Commands, Output, Running, environment

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import StaticTable

HEADER = "parcel,depot,weighed_on,kg"
TABLES = {"reference.depots", "raw.parcels", "curated.weights", "quarantine.weights", "serving.depot_weights"}
"""What the workshop's project publishes."""
Row = tuple[Any, ...]


@dataclass
class Project:
    """A dbt project in a folder, with its landing area and its tables next to it; tables are read without dbt and slipway.

    Args:
        commands: starts its commands.
        folder: of all of it.
        settings: environment variables of its commands, in place of those of ``env``.
    """

    commands: Commands
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The folder of dbt_project.yml."""
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    @property
    def target(self) -> Path:
        """Where dbt writes its artifacts."""
        return self.folder / "target"

    @property
    def temporary(self) -> Path:
        """Where its commands put what they do not keep; doctor looks at what others left there."""
        return self.folder / "temporary"

    def warehouse(self, target: str = "dev") -> Path:
        return self.home / target / "warehouse"

    def database(self, target: str = "dev") -> Path:
        """The catalog's SQLite file."""
        return self.home / target / "catalog.db"

    # ------------------------------------------------------------------------------------------ commands

    def env(self, **settings: str) -> dict[str, str]:
        own = {"TMPDIR": str(self.temporary), "GIT_CONFIG_GLOBAL": os.devnull, "DBT_USE_COLORS": "false"}
        return environment(self.folder, **{**own, **self.settings, **settings})

    def start(
        self,
        *argv: str,
        program: str = "slipway",
        cwd: Path | str = "",
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
            Path(cwd or self.path),
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
        """The last line on stderr of a command that is refused; nothing is on stdout."""
        done = self.slipway(*argv, **settings)
        assert (done.code, done.out) == (code, ""), done
        last = done.err.splitlines()[-1]
        assert last.startswith("slipway: "), done.err
        assert "Traceback" not in done.err
        return last.removeprefix("slipway: ")

    def dbt(self, *argv: str, code: int = 0, cwd: Path | str = "", **settings: str) -> str:
        """What a dbt command prints that ends with a code."""
        done = self.start(*argv, program="dbt", cwd=cwd, **settings).wait()
        assert done.code == code, done
        return done.out + done.err

    def refused(self, *argv: str) -> str:
        """What a dbt command prints that fails."""
        done = self.start(*argv, program="dbt").wait()
        assert done.code in (1, 2), done
        return done.out + done.err

    def killed(self, before: str, *argv: str, program: str = "dbt") -> None:
        """Run a command that is killed before a function is called."""
        done = self.start(*argv, program=program, kill_before=before).wait()
        assert done.code is None, done

    def git(self, *arguments: str) -> str:
        """Run git in the project's folder."""
        named = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *named, "-C", str(self.path), *arguments]
        done = subprocess.run(command, env=self.env(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything, in a repository that is made when there is none; returns the commit."""
        if not (self.path / ".git").exists():
            self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")

    # ------------------------------------------------------------------------------------------ changes

    def keep_locally(self, *targets: str, options: str = "") -> None:
        """Have targets that are servers' kept in folders of the home, as dev is; ``options`` follow the address of the catalog."""
        for name in targets:
            self.warehouse(name).parent.mkdir(parents=True)
            catalog = f"PYICEBERG_CATALOG__{name.upper()}"
            self.settings |= {
                f"{catalog}__TYPE": "sql",
                f"{catalog}__URI": f"sqlite:///{self.database(name)}{options}",
                f"{catalog}__WAREHOUSE": f"file://{self.warehouse(name)}",
            }

    @contextmanager
    def catalog(self, target: str = "dev") -> Iterator[SqlCatalog]:
        """The catalog of a target that is kept in a folder, as another program opens it."""
        from pyiceberg.catalog.sql import SqlCatalog

        place = {"uri": f"sqlite:///{self.database(target)}", "warehouse": f"file://{self.warehouse(target)}"}
        opened = SqlCatalog(target, **place)
        yield opened
        opened.engine.dispose()

    def put(self, name: str, content: str | bytes) -> Path:
        """Put a file into the landing area, whole at once."""
        target = self.landing / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def read(self, name: str) -> str:
        """A file of the project."""
        return (self.path / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        write(self.path / name, text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text that occurs once in a file of the project."""
        text = self.read(name)
        assert text.count(old) == 1, text
        self.write(name, text.replace(old, new))

    def remove(self, *names: str) -> None:
        """Remove files of the project."""
        for name in names:
            (self.path / name).unlink()

    def keep(self, *names: str) -> None:
        """Copy parts of the folder, so that ``put_back`` can put them back."""
        for name in names:
            shutil.copytree(self.folder / name, self.folder / "kept" / name)

    def put_back(self) -> None:
        """Have the parts that were kept as they were then."""
        for kept in (self.folder / "kept").iterdir():
            shutil.rmtree(self.folder / kept.name, ignore_errors=True)
            shutil.copytree(kept, self.folder / kept.name)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """The project and the landing area are afterwards as they were before."""
        self.keep("project", "landing")
        try:
            yield
        finally:
            self.put_back()
            shutil.rmtree(self.folder / "kept")

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

    # ------------------------------------------------------------------------------------------ what is there

    def locations(self, target: str = "dev") -> dict[str, str]:
        """Tables that the catalog names, ``schema.table`` to metadata location."""
        return locations(self.database(target))

    def published(self, target: str = "dev") -> dict[str, str]:
        """The same without the ledger."""
        return published(self.database(target))

    def table(self, name: str, target: str = "dev") -> StaticTable:
        """A published table as pyiceberg reads it."""
        return static(self.locations(target)[name])

    def rows(self, name: str, *columns: str) -> list[Row]:
        """Rows of a published table by pyiceberg, sorted."""
        read = self.table(name).scan(selected_fields=columns or ("*",)).to_arrow()
        return ordered(
            zip(*(read.column(column).to_pylist() for column in columns or read.column_names), strict=True)
        )

    def content(self, name: str) -> list[Row]:
        """Rows of a published table without its lineage columns."""
        names = [column.name for column in self.table(name).schema().fields]
        return self.rows(name, *(column for column in names if not column.startswith("_")))

    def files(self, name: str) -> set[str]:
        """Paths of a table's live data files."""
        return {task.file.file_path for task in self.table(name).scan().plan_files()}

    def state(self) -> dict[str, int | None]:
        """Current snapshot of every published table."""
        snapshots = {name: static(location).current_snapshot() for name, location in self.published().items()}
        return {name: snapshot.snapshot_id if snapshot else None for name, snapshot in snapshots.items()}

    def ledger(self) -> list[dict[str, Any]]:
        """What became of every file that landed, in order."""
        location = self.locations().get("ops.landed_files")
        entries = static(location).scan().to_arrow().to_pylist() if location else []
        return sorted(entries, key=lambda entry: (entry["landed_at"], entry["path"]))

    def verdicts(self) -> dict[str, tuple[str, int | None]]:
        """The last verdict and the row count of every landed file, by its path in the feed's folder."""
        return {entry["path"].split("/", 1)[1]: (entry["verdict"], entry["rows"]) for entry in self.ledger()}

    def results(self) -> dict[str, str]:
        """Node name to status of the last dbt command."""
        found = json.loads((self.target / "run_results.json").read_text(encoding="utf-8"))["results"]
        names = {result["unique_id"]: result["status"] for result in found}
        return {
            name.split(".")[2]: status for name, status in names.items() if not name.startswith("operation.")
        }

    def manifests(self, target: str = "dev") -> list[dict[str, Any]]:
        """Run manifests in the warehouse, oldest first."""
        return manifests(self.warehouse(target))

    def changes(self) -> dict[str, str]:
        """Table to what the last run did with it."""
        return {node["table"]: node["change"] for node in self.manifests()[-1]["nodes"]}

    def releases(self, target: str = "dev") -> list[dict[str, Any]]:
        """Release records in order of their number."""
        return releases(self.warehouse(target))


class Workshop(Project):
    """The project that weighs parcels (tests/cli/project)."""

    def land(self, name: str, rows: Sequence[str], header: str = HEADER) -> None:
        """Land a file of parcels."""
        self.put(f"parcels/{name}", "\n".join([header, *rows, ""]))


class Meters(Project):
    """The project that reads meters (tests/integration/project)."""

    def land(self, name: str, content: str | bytes, feed: str = "readings") -> Path:
        return self.put(f"{feed}/{name}", content)

    def readings(self, name: str, *rows: str) -> Path:
        """Land a file of readings, rows as ``meter,read_on,kwh,note``."""
        return self.land(name, "\n".join(["meter,read_on,kwh,note", *rows, ""]))


def append(project: Project, table: str, target: str = "dev") -> None:
    """Another program appends the rows of a table to it."""
    with project.catalog(target) as catalog:
        found = catalog.load_table(table)
        found.append(found.scan().to_arrow())


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows in an order that NULLs do not disturb."""
    return sorted(rows, key=lambda row: [(value is not None, str(value)) for value in row])


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


def parsed(commands: Commands, source: Path, folder: Path) -> Path:
    """The folder of a copy of a project, with dbt's state of having parsed it."""
    new_project(source, folder / "project")
    (folder / "temporary").mkdir()
    Project(commands, folder).dbt("--quiet", "parse")
    return folder


def copy_of(parsed: Path, folder: Path) -> Path:
    """A copy of such a folder."""
    for name in ("project", "target"):
        shutil.copytree(parsed / name, folder / name)
    (folder / "temporary").mkdir()
    return folder


def keep(folder: Path) -> None:
    """Copy what was built, so that ``put_back`` can put it back."""
    shutil.copytree(folder, folder.with_name("kept"))


def put_back(folder: Path) -> None:
    """Have a folder as it was when it was kept: metadata names files by whole paths, so it stays where it was built."""
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)
