"""Workers of a test run share the rewriting of assertions, and pytest takes what they wrote."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from _pytest.assertion import rewrite as of_pytest
from tests.harness.rewriting import modules, rewrite, share

MODULE = "def compare(one, other):\n    assert one == other\n"


def imported(path: Path) -> ModuleType:
    """A module as pytest imports those of tests."""
    hook = next(one for one in sys.meta_path if isinstance(one, of_pytest.AssertionRewritingHook))
    spec = importlib.util.spec_from_file_location("compared", path, loader=hook)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    hook.exec_module(module)
    return module


@pytest.fixture
def rewritten(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of modules that pytest rewrites itself."""
    found: list[str] = []
    real = of_pytest._rewrite_test

    def noted(path: Path, config: pytest.Config) -> object:
        found.append(path.name)
        return real(path, config)

    monkeypatch.setattr(of_pytest, "_rewrite_test", noted)
    return found


def test_pytest_takes_a_module_that_was_rewritten_and_explains_its_assertions(
    tmp_path: Path, pytestconfig: pytest.Config, rewritten: list[str]
) -> None:
    path = tmp_path / "test_compared.py"
    path.write_text(MODULE, encoding="utf-8")
    rewrite(path, pytestconfig)

    module = imported(path)

    assert rewritten == []
    with pytest.raises(AssertionError, match=r"assert 1 == 2"):
        module.compare(1, 2)


def test_a_module_that_changed_since_is_rewritten_again(
    tmp_path: Path, pytestconfig: pytest.Config, rewritten: list[str]
) -> None:
    path = tmp_path / "test_compared.py"
    path.write_text(MODULE, encoding="utf-8")
    rewrite(path, pytestconfig)
    path.write_text(MODULE.replace("compare", "compared"), encoding="utf-8")

    module = imported(path)

    assert rewritten == ["test_compared.py"]
    assert hasattr(module, "compared")


def test_workers_share_all_modules_of_the_places_that_a_run_was_given(tmp_path: Path) -> None:
    names = (
        "asked/test_a.py",
        "asked/deep/test_b.py",
        "asked/other.py",
        "asked/out/test_c.py",
        "test_d.py",
        "test_e.py",
    )
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    wanted = [tmp_path / name for name in ("asked/deep/test_b.py", "asked/test_a.py", "test_d.py")]

    found = modules(
        [tmp_path / "asked", tmp_path / "test_d.py", tmp_path / "asked"], [tmp_path / "asked" / "out"]
    )

    assert sorted(found) == sorted(wanted)
    for workers in (1, 2, 3, 4):
        shares = [share(found, number, workers) for number in range(workers)]
        assert sorted(path for one in shares for path in one) == sorted(wanted)
