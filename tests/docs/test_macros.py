"""The page of macros is what their YAML says, their YAML is what the code says, and Slipway does not touch a project's names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.docs import macro_index
from tests.docs.macro_index import OWN, PACKAGE, ROOT

if TYPE_CHECKING:
    from tests.docs.conftest import Page

_MACRO = re.compile(r"{%-?\s*(macro|test)\s+(\w+)\((.*?)\)\s*-?%}", re.DOTALL)
# dbt's own macros, of which Slipway's take the place
_OF_DBT = {"is_incremental", "ref", "source"}


def defined(folder: Path) -> dict[str, tuple[Path, list[str]]]:
    """Macro to file and arguments; dbt knows a generic test by its name with ``test_`` in front."""
    return {
        f"{'test_' * (kind == 'test')}{name}": (
            path,
            [argument.partition("=")[0].strip() for argument in arguments.split(",") if argument.strip()],
        )
        for path in sorted(folder.rglob("*.sql"))
        for kind, name, arguments in _MACRO.findall(path.read_text(encoding="utf-8"))
    }


def described(path: Path) -> dict[str, list[str]]:
    macros = yaml.safe_load(path.read_text(encoding="utf-8"))["macros"]
    assert all(one["description"] for one in macros)
    for argument in (argument for one in macros for argument in one["arguments"]):
        assert argument.keys() == {"name", "type", "description"}, argument  # dbt refuses other keys
        assert all(argument.values()), argument
    return {one["name"]: [argument["name"] for argument in one["arguments"]] for one in macros}


@pytest.mark.parametrize(
    "folder",
    [PACKAGE, *sorted(path.parent for path in (ROOT / "macros").glob("*/_macros.yml"))],
    ids=lambda f: f.name,
)
def test_a_public_macro_has_a_file_of_its_name_and_is_described(folder: Path) -> None:
    own = folder == PACKAGE
    internal, prefixes = (_OF_DBT, ("_slipway", "slipway__")) if own else (set[str](), ("_",))
    public = {
        name: found
        for name, found in defined(folder).items()
        if name not in internal and not name.startswith(prefixes)
    }
    assert [path.stem for path, _ in public.values()] == [name.removeprefix("test_") for name in public]
    assert {name: arguments for name, (_, arguments) in public.items()} == described(folder / "_macros.yml")


def test_every_folder_of_macros_is_described() -> None:
    folders = {path.parent for path in (ROOT / "macros").rglob("*.sql")}
    assert folders == {path.parent for path in (ROOT / "macros").rglob("_macros.yml")}


def test_the_page_is_what_the_yaml_says(pages: dict[str, Page]) -> None:
    text = pages["docs/reference/macros.md"].text
    head, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    written = {name: body.strip() for name, _, body in (part.partition("\n") for part in parts)}
    there = {name: body.strip() for name, body in macro_index.sections().items()}
    assert OWN in there
    assert macro_index.page().startswith(head)
    # the example's may be deleted
    assert {name: written.get(name) for name in there} == there, (
        "run: python -m tests.docs.macro_index > docs/reference/macros.md"
    )
    assert not [name for name in written.keys() - there.keys() if (ROOT / name).exists()]
