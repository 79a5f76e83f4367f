"""What the key of a node is made from, part by part; whole runs show the rest (tests/integration/test_unchanged.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.adapters.dbt.node_key import _environment, _imports, _modules, _own_module, _variables


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
        pytest.param("x = 1", set(), id="nothing"),
    ],
)
def test_imports_are_found_with_the_packages_they_run(code: str, names: set[str]) -> None:
    assert set(_imports(code, "pack.inner")) == names


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
    _own_module.cache_clear()
    yield folder
    for name in [name for name in sys.modules if name.startswith("ownlibrary")]:
        del sys.modules[name]


def test_modules_of_the_project_count_and_installed_ones_do_not(library: Path) -> None:
    found = dict(_modules("from ownlibrary.first import something\nimport pandas"))
    assert set(found) == {"ownlibrary", "ownlibrary.first", "ownlibrary.second"}
    (library / "second.py").write_text("X = 2\n", encoding="utf-8")
    changed = dict(_modules("from ownlibrary.first import something\nimport pandas"))
    assert {name for name in found if changed.get(name) != found[name]} == {"ownlibrary.second"}


def test_only_variables_that_the_code_reads_count() -> None:
    known = {"a": 1, "b": 2, "c": 3}
    assert _variables(known, ["{{ var('a') }}", '{{ var( "b", 5) }}']) == {"a": 1, "b": 2}
    assert _variables(known, ["{{ var('absent', 1) }}"]) == {"absent": None}
    assert _variables(known, ["{{ env_var('a') }} and a variable"]) == {}
    # which variable it is cannot be told, so all count
    assert _variables(known, ["{{ var(name) }}"]) == known


def test_environment_variables_that_the_code_reads_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METER", "7")
    monkeypatch.delenv("ABSENT", raising=False)
    assert _environment(["{{ env_var('METER') }}", "{{ env_var(\"ABSENT\", 'x') }}"]) == {
        "ABSENT": None,
        "METER": "7",
    }
