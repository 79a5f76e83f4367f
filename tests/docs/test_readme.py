"""The README's tree and tables are complete, and it stays short."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.example import of_example

from slipway.cli.main import COMMANDS

if TYPE_CHECKING:
    from tests.docs.conftest import Page

ROOT = Path(__file__).parents[2]


def test_the_tree_is_the_tree(pages: dict[str, Page], files: list[str]) -> None:
    """Every folder at the top is in it; and of a folder whose children are shown, every child."""
    shown: dict[str, str] = {}
    parent = ""
    for line in pages["README.md"].section("The tree").block("text", "docs/").splitlines():
        indent, name, text = re.fullmatch(r"( *)(\S+/) +(\S.*)", line).groups()  # type: ignore[union-attr]
        parent = name if not indent else parent
        shown[name if not indent else parent + name] = text
    folders = {name.rsplit("/", 1)[0] + "/" for name in files if "/" in name and not name.startswith(".")}
    top = {folder.split("/")[0] + "/" for folder in folders}
    second = {"/".join(folder.split("/")[:2]) + "/" for folder in folders if folder.count("/") > 1}
    opened = {name.split("/")[0] for name in shown if name.count("/") > 1}
    there = top | {folder for folder in second if folder.split("/")[0] in opened}
    assert there <= set(shown)
    assert {name for name in set(shown) - there if not of_example(name)} == set()
    assert min(len(text) for text in shown.values()) > 3


def test_every_command_is_in_the_table(pages: dict[str, Page]) -> None:
    message = " ".join(row[0] for row in pages["README.md"].rows("command", "what it does"))
    assert set(re.findall(r"slipway (\w+)", message)) == set(COMMANDS)


def test_the_readme_stays_short(pages: dict[str, Page]) -> None:
    assert len(pages["README.md"].text.splitlines()) <= 170
