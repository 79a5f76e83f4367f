"""The example can be deleted: nothing else knows of it, and what is left passes the tests."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.harness.example import example_folders, of_example

ROOT = Path(__file__).parents[2]
# the page's own steps change these
SETTINGS = ("dbt_project.yml", "profiles.yml")
# what says which names are the example's
NAMING = {"tests/docs/test_start_your_own.py", "tests/unit/test_architecture.py"}
# names that only the example has: its feed and its packages
NAMES = re.compile(r"\bretail\b|online_retail|shop_time_zone")
CODE = (".py", ".sql", ".yml", ".yaml", ".toml", ".sh", "")


def rest(files: list[str]) -> list[str]:
    """Code that stays when the example goes."""
    return [
        name
        for name in files
        if Path(name).suffix in CODE and not of_example(name) and name not in {*SETTINGS, *NAMING, "LICENSE"}
    ]


def test_the_page_names_folders_that_are_there() -> None:
    there = {name for name in example_folders() if (ROOT / name).is_dir()}
    assert there in (set(), set(example_folders()))


def test_a_wheel_takes_the_example_along() -> None:
    """What ``slipway init --example`` brings is what the page deletes, apart from pytest's tests and the notebook; and what goes with it."""
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    brought = described["tool"]["slipway"]["example"]
    left = {
        name for name in example_folders() if not any(f"{name}/".startswith(f"{one}/") for one in brought)
    }
    assert left == {"notebooks", "tests/docs/retail", "tests/integration/retail", "tests/unit/retail"}
    assert {name for name in brought if not of_example(name)} == {"dbt_project.yml", "macros", "tests/dbt"}


def test_nothing_else_names_the_example(files: list[str]) -> None:
    kept = rest(files)
    assert len(kept) > 300
    naming = [
        f"{name}:{number}: {line.strip()}"
        for name in kept
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), start=1)
        if NAMES.search(line) and not (name == "pyproject.toml" and line.strip(' ",\n') in example_folders())
    ]
    assert naming == []


def test_no_page_that_stays_links_to_the_example(files: list[str]) -> None:
    kept = [name for name in files if not of_example(name)]
    linked = [
        (page, target)
        for page in kept
        if page.endswith(".md")
        for target in re.findall(r"\]\(([^)#:\s]+)", (ROOT / page).read_text(encoding="utf-8"))
        if of_example(os.path.normpath(Path(page).parent / target))
    ]
    assert linked == []


def test_the_example_does_not_import_the_package(files: list[str]) -> None:
    """Its functions are a project's own: they would be the same without Slipway."""
    own = [
        name for name in files if name.endswith(".py") and of_example(name) and not name.startswith("tests/")
    ]
    imported = {
        (name, module)
        for name in own
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8")))
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if module.partition(".")[0] == "slipway"
    }
    assert imported == set()


@pytest.mark.long
def test_what_is_left_passes_its_tests(files: list[str], tmp_path: Path) -> None:
    """The stages of scripts/test, and of pytest what reads the project's files; the rest makes projects of its own."""
    clone = tmp_path / "clone"
    for name in files:
        if not of_example(name):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    passed_on = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    programs = Path(sys.executable).parent
    environment = {
        **passed_on,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "scripts"),
        "SLIPWAY_HOME": str(tmp_path / "home"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    # scripts/test itself would make a .venv: its stages, as it names them
    script = (clone / "scripts" / "test").read_text(encoding="utf-8")
    stages = re.findall(r"^ *stage '[^']+' (.+)$", script, re.MULTILINE)
    assert [stage.split()[0] for stage in stages if stage.startswith(("mypy", "in_scratch", "lint_sql"))] == [
        *("mypy", "in_scratch", "in_scratch", "lint_sql")
    ]
    functions = script[script.index("in_scratch() {") : script.index('if [ "$markers" = spark ]')]
    head = "set -euo pipefail\nscratch=$(mktemp -d)\ntrap 'rm -rf -- \"$scratch\"' EXIT\n"
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "--all"],
        ["bash", "-c", "\n".join([head, functions, *stages])],
        ["pytest", "--collect-only", "-q"],
        ["pytest", "-q", "-m", "not long", "tests/docs", "tests/unit/test_architecture.py"],
    ):
        done = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == 0, (command, done.stdout[-5000:] + done.stderr[-5000:])
