"""What Python code counts in a key: itself and own modules without comments, installed packages by their version."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from slipway.dbt.keys import python_code
from slipway.dbt.keys.python_code import (
    environment,
    imports,
    module_files,
    modules_of,
    own_module,
    python_form,
    python_parts,
    versions_of,
)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        pytest.param("import a.b.c", {"a", "a.b", "a.b.c"}, id="import"),
        pytest.param("import a as x, b", {"a", "b"}, id="several"),
        pytest.param("from a.b import c", {"a", "a.b", "a.b.c"}, id="from"),
        pytest.param("def f():\n    from a import b", {"a", "a.b"}, id="inside-a-function"),
        pytest.param("from . import sibling", {"pack", "pack.inner", "pack.inner.sibling"}, id="relative"),
        pytest.param(
            "from .sibling import x",
            {"pack", "pack.inner", "pack.inner.sibling", "pack.inner.sibling.x"},
            id="relative-module",
        ),
        pytest.param("from ..other import x", {"pack", "pack.other", "pack.other.x"}, id="from-above"),
        pytest.param("importlib.import_module('a.b')", {"a", "a.b"}, id="by-name"),
        pytest.param("x = 1", set(), id="nothing"),
    ],
)
def test_imports_are_found_with_the_packages_they_run(code: str, names: set[str]) -> None:
    assert set(imports(code, "pack.inner")) == names


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(
            "def f(x):  # why\n    # more\n    return (x +\n            1)\n", True, id="comment-and-layout"
        ),
        pytest.param("def f(x):\n    'what'\n    return x + 1\n", False, id="docstring"),
        pytest.param("def f(x):\n    return x + 1.0\n", False, id="constant"),
        pytest.param("def f(x, y=None):\n    return x + 1\n", False, id="signature"),
        pytest.param("def f(x):\n    return x - 1\n", False, id="operator"),
        pytest.param("async def f(x):\n    return x + 1\n", False, id="keyword"),
    ],
)
def test_what_another_way_of_writing_is(other: str, *, same: bool) -> None:
    assert (python_form("def f(x):\n    return x + 1\n") == python_form(other)) is same


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "ownlibrary"
    folder.mkdir()
    for name, text in {
        "__init__.py": "",
        "first.py": "from .second import X\nimport json\nimport duckdb\n",
        "second.py": "from ownlibrary import first\nX = 1\n",
        "alone.py": "Y = 1\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    own_module.cache_clear()
    yield folder
    for name in [name for name in sys.modules if name.startswith("ownlibrary")]:
        del sys.modules[name]


def test_own_modules_are_found_by_the_files_that_another_machine_needs(library: Path) -> None:
    files = module_files("from ownlibrary import first\nimport duckdb\n")
    assert files == {
        f"ownlibrary/{name}": (library / name).read_text(encoding="utf-8")
        for name in ("__init__.py", "first.py", "second.py")
    }
    assert module_files("import json\n") == {}


def test_modules_of_the_project_count_by_code_and_installed_ones_by_version(library: Path) -> None:
    code = "from ownlibrary.first import something\nimport pyarrow.compute"
    found, others = modules_of(code)
    assert set(found) == {"ownlibrary", "ownlibrary.first", "ownlibrary.second"}
    assert others == {"duckdb", "pyarrow"}
    parts = python_parts(code, {})
    (library / "second.py").write_text("X = 1  # said\nfrom ownlibrary import first\n", encoding="utf-8")
    assert python_parts(code, {}) != parts  # the order of statements
    (library / "second.py").write_text("from ownlibrary import first\n\nX = 1  # said\n", encoding="utf-8")
    assert python_parts(code, {}) == parts
    (library / "second.py").write_text("X = 2\n", encoding="utf-8")
    changed, _ = modules_of(code)
    assert {name for name in found if changed.get(name) != found[name]} == {"ownlibrary.second"}
    (library / "second.py").write_text("import os\nX = os.environ['FACTOR']\n", encoding="utf-8")
    assert python_parts(code, {"FACTOR": "1", "OTHER": "1"}) == python_parts(code, {"FACTOR": "1"})
    assert python_parts(code, {"FACTOR": "1"}) != python_parts(code, {"FACTOR": "2"})


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import os\nos.environ['A']", {"A"}),
        ("import os\nos.environ.get('A', os.getenv('B'))", {"A", "B"}),
        (
            "from os import environ, getenv\nif 'A' in environ:\n    environ['B']\ngetenv('C', 'x')",
            {"A", "B", "C"},
        ),
        ("import os as o\no.environ.get('A')", {"A"}),
        ("import os\nos.environ[name]", None),
        ("import os\nos.getenv(f'{name}')", None),
        ("import os\nfor name in os.environ: pass", None),
        ("import os\nuse(os.environ)", None),
        ("import os\nread = os.getenv\nread('A')", None),
        ("from os import environ as e\ne['A']", None),
        ("import os\nos.environ['A']\nos.environ[name]", None),
        ("import os\nos.path.join('A')\nx['A']", set()),
    ],
)
def test_environment_variables_that_python_code_reads(code: str, names: set[str] | None) -> None:
    known = {"A": "1", "B": "2", "Z": "3"}
    expected: dict[str, str | None] = {name: known.get(name) for name in (known if names is None else names)}
    assert environment(known, [code]) == expected


def test_a_package_brings_the_version_of_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(versions_of({"yaml", "absent", "requests"}))
    assert found.items() >= {"pyyaml": version("pyyaml"), "urllib3": version("urllib3")}.items()
    assert found["pandas"] == version("pandas")  # what tables become, without an import
    known = python_code._installed

    def upgraded(name: str) -> tuple[str, tuple[str, ...]] | None:
        found = known(name)
        return ("99", found[1]) if found and name == "urllib3" else found

    monkeypatch.setattr(python_code, "_installed", upgraded)
    assert dict(versions_of({"requests"}))["urllib3"] == "99"
    assert "urllib3" not in dict(versions_of({"yaml"}))
