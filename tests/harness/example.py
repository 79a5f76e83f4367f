"""Which folders are the example's: those that docs/how-to/start-your-own.md deletes, whether they are there or not."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "start-your-own.md"


def example_folders() -> list[str]:
    """The arguments of the page's ``git rm -r``, relative to the project."""
    (command,) = re.findall(r"^ *git rm -r ((?:.*\\\n)*.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [name for name in command.replace("\\\n", " ").split() if not name.startswith("-")]


def of_example(name: str) -> bool:
    """Whether a file or folder is one of these folders, or in one of them."""
    return any(f"{name.rstrip('/')}/".startswith(f"{folder}/") for folder in example_folders())
