"""Someone who has Slipway installed and a folder, and types what is printed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness.commands import environment
from tests.harness.projects import locations, static

if TYPE_CHECKING:
    from tests.harness.commands import Commands, Output


@dataclass(frozen=True)
class Newcomer:
    """Someone who types commands in a folder; nothing is set."""

    commands: Commands
    folder: Path

    def types(self, line: str, folder: Path | None = None, code: int = 0) -> Output:
        env = environment(self.folder)
        for name in ("SLIPWAY_HOME", "SLIPWAY_LANDING", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
            del env[name]
        program, *argv = shlex.split(line)
        done = self.commands.start(
            program, argv, folder or self.folder, env | {"HOME": str(self.folder)}
        ).wait()
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
