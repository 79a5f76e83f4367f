"""Someone who has Slipway installed and a folder, and types what is printed or what a page says."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness.commands import Output, environment
from tests.harness.projects import locations, static

if TYPE_CHECKING:
    from tests.harness.commands import Commands

_PLACES = ("SLIPWAY_HOME", "SLIPWAY_LANDING", "DBT_TARGET_PATH", "DBT_LOG_PATH")


@dataclass(frozen=True)
class Newcomer:
    """Someone who types commands in a folder; nothing is set but what they export.

    Args:
        commands: starts ``slipway`` and ``dbt``; other programs are bash's.
        folder: where they are.
        exported: environment variables.
    """

    commands: Commands
    folder: Path
    exported: dict[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        """The whole environment of what they type."""
        own = {name: value for name, value in environment(self.folder).items() if name not in _PLACES}
        return {**own, "HOME": str(self.folder), **self.exported}

    def enters(self, line: str, folder: Path | None = None) -> Output:
        """What a line of a shell does, whatever comes of it."""
        program, *argv = shlex.split(line)
        if program in ("slipway", "dbt"):
            return self.commands.start(program, argv, folder or self.folder, self.env()).wait(600)
        name = argv[0].partition("=")[0] if program == "export" else ""
        done = subprocess.run(
            ["bash", "-c", f'{line}; printf %s "${name}"' if name else line],
            cwd=folder or self.folder,
            env=self.env(),
            check=False,
            capture_output=True,
            text=True,
        )
        if name:
            self.exported[name] = done.stdout
        return Output("" if name else done.stdout, done.stderr, done.returncode)

    def types(self, line: str, folder: Path | None = None, code: int = 0) -> Output:
        """The same of a line that ends with a code."""
        done = self.enters(line, folder)
        assert done.code == code, (line, done)
        return done

    def next_commands(self, printed: str) -> list[str]:
        lines = printed.partition("\nNext")[2].splitlines()[1:]
        assert len(lines) == 2
        return [line.strip() for line in lines]

    def rows(self, project: Path, target: str, table: str) -> list[dict[str, Any]]:
        catalog = project / ".slipway" / target / "catalog.db"
        found: list[dict[str, Any]] = static(locations(catalog)[table]).scan().to_arrow().to_pylist()
        return found
