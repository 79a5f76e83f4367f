"""Generated dbt projects of tiny models: one for slipway, and the same one for plain dbt-duckdb."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PROJECT = """\
name: tiny
version: "1.0.0"
config-version: 2
profile: slipway
model-paths: [models]
macro-paths: [macros]
flags:
  send_anonymous_usage_stats: false
models:
  tiny:
    +materialized: table
    +schema: serving
"""
_NATIVE = """\
slipway:
  target: dev
  outputs:
    dev: {type: duckdb, path: native.duckdb, schema: main, threads: 4}
"""


@dataclass(frozen=True)
class Project:
    """A dbt project in a folder, and everything it makes next to it."""

    folder: Path

    def seconds(self, *command: str, code: int = 0) -> float:
        """Processor time of a command from start to end, imports included: other processes of the machine change it least.

        Args:
            command: module and arguments.
            code: that it is to end with.

        Raises:
            RuntimeError: it failed; with what it printed last.
        """
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != code:
            raise RuntimeError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def change(self, model: str, number: int) -> None:
        """Give a model another row."""
        sql = f"select {number} as id, 'changed' as name, date '2024-01-01' as day\n"
        (self.folder / "models" / f"{model}.sql").write_text(sql, encoding="utf-8")

    def forget(self) -> None:
        """Remove every table, as before the first run; what dbt parsed stays."""
        shutil.rmtree(self.folder / "home", ignore_errors=True)
        (self.folder / "native.duckdb").unlink(missing_ok=True)

    def data_files(self) -> list[Path]:
        """The data files of the published tables."""
        return sorted((self.folder / "home").rglob("data/**/*.parquet"))

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DBT_", "PYICEBERG_", "SLIPWAY_"))
        }
        return kept | {
            "PYTHONPATH": str(_ROOT / "scripts"),
            "SLIPWAY_HOME": str(self.folder / "home"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }


def make(folder: Path, models: int, *, slipway: bool, tests: bool = False) -> Project:
    """Write a project whose models have one row each; three of four read another one.

    Args:
        folder: gets the project.
        models: how many.
        slipway: with its profile; otherwise for a native DuckDB file.
        tests: two data tests a model.
    """
    target = folder / "models"
    target.mkdir(parents=True)
    for number in range(models):
        own = f"select {number} as id, 'model {number}' as name, date '2024-01-01' + {number} as day"
        other = f"select * from {{{{ ref('model_{number // 4}') }}}}"
        sql = other if number % 4 and number >= 4 else own
        (target / f"model_{number}.sql").write_text(f"{sql}\n", encoding="utf-8")
    if tests:
        (target / "models.yml").write_text(_tests(range(models)), encoding="utf-8")
    (folder / "dbt_project.yml").write_text(_PROJECT, encoding="utf-8")
    if slipway:
        shutil.copy(_ROOT / "profiles.yml", folder)
    else:
        (folder / "profiles.yml").write_text(_NATIVE, encoding="utf-8")
    return Project(folder)


def _tests(numbers: Sequence[int]) -> str:
    columns = "    columns: [{name: id, data_tests: [not_null, unique]}]"
    return "\n".join(
        ["version: 2", "models:", *(f"  - name: model_{number}\n{columns}" for number in numbers), ""]
    )
