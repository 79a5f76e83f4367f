"""The settings that the pages name are those that the code reads."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from slipway.environments.environment import Mode
from slipway.environments.profiles import Profile
from slipway.settings import Settings, variable

if TYPE_CHECKING:
    import pytest
    from tests.docs.conftest import Page

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"(?:SLIPWAY|DBT|AWS|GITHUB)_[A-Z0-9_]+")
SHELL = ("scripts/run", "scripts/test", "scripts/_environment.sh", ".ci/run")
OWN = {variable(field.name) for field in fields(Settings)}
PREFIXES = {
    "DBT_ENV_SECRET"
}  # what names of dbt's secrets begin with: their values are masked, and set nothing
# written by one process for another, or by GitHub for itself; not read from a person
# names in examples, of tests, and of a level in verification summaries
NOT_SETTINGS = {
    *("SLIPWAY_CATALOG_URI", "SLIPWAY_CI_ROLE", "SLIPWAY_CHAOS_SEEDS", "SLIPWAY_STORM_SEEDS"),
    "SLIPWAY_PROMOTION",
}


@functools.cache
def read_by_python() -> set[str]:
    """Names that the packages take from the environment: first arguments that look like one, and subscripts."""
    found = set()
    for path in (ROOT / "scripts").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if VARIABLE.search(text) else ():
            if isinstance(node, ast.Call):
                named = node.args[:1]
            elif isinstance(node, ast.Subscript) and getattr(node.value, "attr", None) == "environ":
                named = [node.slice]
            else:
                continue
            found |= {str(item.value) for item in named if isinstance(item, ast.Constant)}
    return ({name for name in found if VARIABLE.fullmatch(name)} | OWN) - PREFIXES


def test_one_module_reads_what_is_of_slipway_itself() -> None:
    found = [
        (path.name, node.value)
        for path in (ROOT / "scripts" / "slipway").rglob("*.py")
        if any(name in (text := path.read_text(encoding="utf-8")) for name in OWN)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in OWN
    ]
    assert found == [
        ("profiles.py", name) for name in ("SLIPWAY_HOME", "SLIPWAY_WAREHOUSE", "SLIPWAY_LANDING")
    ]


def read_by_others() -> set[str]:
    profiles = (ROOT / "profiles.yml").read_text(encoding="utf-8")
    shell = "".join((ROOT / name).read_text(encoding="utf-8") for name in SHELL)
    return {
        *re.findall(r"env_var\('(\w+)'", profiles),
        *re.findall(r"\bSLIPWAY_[A-Z]+(?:_[A-Z]+)*\b", shell),
    } - {"SLIPWAY_"}


def documented(pages: dict[str, Page]) -> set[str]:
    rows = pages["README.md"].rows("setting", "default", "meaning")
    rows += pages["docs/reference/settings.md"].rows("variable", "meaning")
    return {name for row in rows for name in re.findall(r"[A-Z][A-Z0-9_]+\*?", row[0].partition("<")[0])}


def test_what_the_code_reads_is_documented(pages: dict[str, Page]) -> None:
    assert read_by_python() >= {"SLIPWAY_HOME", "SLIPWAY_LANDING", "AWS_REGION", "DBT_TARGET"}
    assert (read_by_python() | read_by_others()) - documented(pages) == set()


def test_what_is_documented_is_read(pages: dict[str, Page]) -> None:
    others = {"AWS_*", "PYICEBERG_CATALOG__"}  # read by boto3 and pyiceberg
    assert documented(pages) - others - read_by_python() - read_by_others() == set()


def test_no_page_names_another_setting(pages: dict[str, Page]) -> None:
    named = {
        name for page in pages.values() for name in re.findall(r"\bSLIPWAY_[A-Z]+(?:_[A-Z]+)*\b", page.text)
    }
    assert named - documented(pages) - NOT_SETTINGS == set()


def test_the_defaults_are_those_of_the_code(pages: dict[str, Page], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in documented(pages):
        monkeypatch.delenv(name, raising=False)
    defaults = {row[0]: row[1] for row in pages["README.md"].rows("setting", "default", "meaning")}
    profile = Profile(ROOT)
    environment = profile.environment()
    assert f"`{profile.default_target}`" == f"`{defaults['DBT_TARGET']}`"
    assert f"`{environment.home.relative_to(ROOT)}` in the project" == f"`{defaults['SLIPWAY_HOME']}"
    assert f"{Path(environment.landing).relative_to(ROOT)}`, the sample" == defaults["SLIPWAY_LANDING"]


def test_the_example_of_a_target_is_one(
    pages: dict[str, Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = pages["docs/reference/settings.md"]
    outputs = yaml.safe_load(page.block("yaml", "mode: production"))
    (tmp_path / "dbt_project.yml").write_text("name: mine\nprofile: slipway\n", encoding="utf-8")
    profiles = yaml.safe_dump({"slipway": {"outputs": outputs}})
    (tmp_path / "profiles.yml").write_text(profiles, encoding="utf-8")
    monkeypatch.setenv("CATALOG_URI", "postgresql+psycopg2://db.example.org/lake")
    for name in ("SLIPWAY_WAREHOUSE", "SLIPWAY_LANDING", "DBT_PROFILES_DIR"):
        monkeypatch.delenv(name, raising=False)
    environment = Profile(tmp_path).environment("prod")
    assert environment.mode is Mode.PRODUCTION
    assert (environment.warehouse, environment.landing) == ("s3://lake/prod", "s3://lake/landing")
    assert environment.catalog_properties["uri"] == "postgresql+psycopg2://db.example.org/lake"
    assert not environment.publishes_from_dbt
    keys = {row[0] for row in page.rows("key of a target", "default", "meaning")}
    assert outputs["prod"].keys() - {"type", "threads"} <= keys
