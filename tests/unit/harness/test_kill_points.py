"""Functions around which tests kill commands are named by text: each is there, and is called where it is replaced."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[2]
PACKAGE = TESTS.parent / "scripts" / "slipway"
POINT = re.compile(r"(slipway|pyiceberg|sqlalchemy|os)([\w.]*):([A-Za-z_][\w.]*)")


@cache
def points() -> dict[str, str]:
    """Each point, to a file that names it."""
    return {
        found[0]: path.relative_to(TESTS).as_posix()
        for path in sorted(TESTS.rglob("*.py"))
        if POINT.search(text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (found := POINT.match(node.value))
    }


def is_there(point: str) -> bool:
    module, _, path = point.partition(":")
    owner: object = importlib.import_module(module)
    for part in path.split("."):
        owner = getattr(owner, part, None)
    return callable(owner)


@cache
def texts() -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def bound_elsewhere(point: str) -> list[str]:
    """Modules that import a function which its own module does not call: what they call is not replaced."""
    module, _, path = point.partition(":")
    if "." in path or not module.startswith("slipway."):
        return []
    own = PACKAGE.parent / f"{module.replace('.', '/')}.py"
    if re.search(rf"(?<!def )\b{path}\(", texts()[own]):
        return []
    imported = re.compile(rf"^from {re.escape(module)} import (\([^)]*|[^\n(]*)\b{path}\b", re.MULTILINE)
    return [file.relative_to(PACKAGE).as_posix() for file, text in texts().items() if imported.search(text)]


def test_every_point_is_a_function_of_its_module() -> None:
    found = points()
    assert len(found) > 20
    assert {point: file for point, file in found.items() if not is_there(point)} == {}


def test_every_point_is_called_through_its_module() -> None:
    assert {point: users for point in points() if (users := bound_elsewhere(point))} == {}
