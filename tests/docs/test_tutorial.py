"""The tutorial, done as it is written: its files, its commands, and what they print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.docs.conftest import committed_copy, reader
from tests.docs.console import follow, matches

if TYPE_CHECKING:
    from tests.docs.conftest import Page
    from tests.harness.commands import Commands

# tests/cli/test_scripts.py starts these from a fresh clone
SCRIPTS = ("./scripts/run --help", "source .venv/bin/activate")


def test_the_tutorial(pages: dict[str, Page], files: list[str], commands: Commands, tmp_path: Path) -> None:
    page = pages["docs/tutorial.md"]
    folder = committed_copy(files, tmp_path / "clone", whole=True)
    author = {
        f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    someone = reader(commands, folder)
    someone.exported.update(author)
    described = folder / "dbt_project.yml"
    text = described.read_text(encoding="utf-8")
    own = page.block("yaml", "slice_dimensions")
    described.write_text(re.sub(r"^vars:\n(?:  .*\n)+", own, text, flags=re.MULTILINE), encoding="utf-8")
    assert yaml.safe_load(described.read_text(encoding="utf-8"))["vars"] == yaml.safe_load(own)["vars"]
    follow(someone, page, leave_out=SCRIPTS)


def test_it_deletes_what_the_page_on_deleting_the_example_names(pages: dict[str, Page]) -> None:
    folders = [
        set(
            re.findall(
                r"\w+/[\w/]+|contracts|\w*models|snapshots|seeds",
                pages[name].block("sh", "git rm").partition("./scripts")[0],
            )
        )
        for name in ("docs/tutorial.md", "docs/how-to/start-your-own.md")
    ]
    assert len(folders[0]) > 5
    assert folders[0] == folders[1]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("5 rows  12 KiB\n", "5 rows 871 B\n", True),
        ("5 rows\n", "6 rows\n", False),
        ("Published release 1\n…\n", "Published release 1\na\nb\n", True),
        ("…\nlast\n", "first\nlast\nmore\n", False),
        (
            "run 20240302T084331Z-f94901ed at 2024-03-02 08:43 UTC\n",
            "run 20261129T184231Z-00000000 at 2026-11-29 18:42 UTC\n",
            True,
        ),
        ("2024-03-01  3.30\n", "2024-03-02  3.30\n", False),
        ("2024-03-01  3.30\n", "2024-03-01  4.30\n", False),
        ("a  12 KiB  0.26\n", "a  871 B  1.05\n", True),
        ("commit 4cdf6e9b\n", "commit 613624e6*\n", False),
        ("a … c\n", "a b c\n", True),
        ("a\n", "a\nb\n", False),
    ],
)
def test_what_is_compared(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same
