"""The project's pages, taken apart: code blocks, tables, links."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.newcomer import Newcomer

if TYPE_CHECKING:
    from tests.harness.commands import Commands, Output

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
FOLDERS = ("docs", "tests", "benchmarks")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and what is in it, without the indentation of the list it stands in."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """A Markdown page of the project."""

    name: str
    text: str

    @cached_property
    def blocks(self) -> list[Block]:
        return [Block(found[2], textwrap.dedent(found[3])) for found in _FENCE.finditer(self.text)]

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def block(self, language: str, holding: str) -> str:
        """The one block of a language that holds a text."""
        (found,) = [
            block.text for block in self.blocks if block.language == language and holding in block.text
        ]
        return found

    def rows(self, *header: str) -> list[list[str]]:
        """Rows of every table with this header, without the marks of code."""
        found, inside = [], False
        for line in self.prose.splitlines():
            cells = [cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip())[1:-1]]
            if tuple(cells) == header:
                inside = True
            elif not line.startswith("|"):
                inside = False
            elif inside and not set("".join(cells)) <= {"-", ":"}:
                found.append([cell.strip("`") for cell in cells])
        assert found, f"{self.name} has no table {' | '.join(header)}"
        return found

    def section(self, title: str) -> Page:
        """The part under a heading of the second level."""
        (found,) = re.findall(
            rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.MULTILINE
        )
        return Page(f"{self.name}#{title}", found)


def committed() -> list[str]:
    """Names of the files that are in the repository or would be added to it."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(name for name in set(done.stdout.split("\0")) if name and (ROOT / name).is_file())


@pytest.fixture(scope="session")
def files() -> list[str]:
    return committed()


@pytest.fixture(scope="session")
def pages(files: list[str]) -> dict[str, Page]:
    """Every page that people read, by its name."""
    names = [name for name in files if name.endswith(".md") and name.partition("/")[0] in {name, *FOLDERS}]
    return {name: Page(name, (ROOT / name).read_text(encoding="utf-8")) for name in names}


def copied(files: list[str], folder: Path, *, whole: bool = False) -> Path:
    """A folder with the project in it, as a clone has it, without its tests of itself unless the whole is wanted."""
    for name in files:
        if whole or not name.startswith("tests/") or name.startswith("tests/dbt/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def committed_copy(files: list[str], folder: Path, *, whole: bool = False) -> Path:
    """The same as a git repository with one commit on main."""
    copied(files, folder, whole=whole)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet", "--initial-branch", "main"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "all"], check=True)
    return folder


def reader(commands: Commands, clone: Path) -> Newcomer:
    """Someone who follows a page in a clone of the project."""
    # its own functions: those of the checkout that runs the tests are in no commit of the copy
    return Newcomer(commands, clone, {"PYTHONPATH": str(clone / "scripts"), "HOME": str(clone.parent)})


@pytest.fixture(scope="session")
def begun(
    files: list[str], commands: Commands, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Newcomer, Output]:
    made = reader(commands, committed_copy(files, tmp_path_factory.mktemp("shop") / "fresh clone"))
    return made, made.types("slipway run")


@pytest.fixture
def shop(begun: tuple[Newcomer, Output]) -> Newcomer:
    """Someone in a copy of the whole project, as a clone has it, after the README's first command."""
    return begun[0]
