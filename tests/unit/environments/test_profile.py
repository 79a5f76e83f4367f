"""Environments are what profiles.yml and the environment variables say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.environments.environment import Mode
from slipway.environments.profiles import Profile, find_project, render
from slipway.errors import ConfigError, NotFoundError

PLUGIN = {"module": "slipway.dbt.plugin", "config": {"mode": "scheduled", "local": True}}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests."""
    import os

    for name in list(os.environ):
        if name.startswith(("SLIPWAY_", "DBT_", "PYICEBERG_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "dbt_project.yml").write_text(
        "name: shop\nprofile: slipway\nvars: {a: 1, shop: {b: 2}, other: {c: 3}}\n", encoding="utf-8"
    )
    return folder


def written(project: Path, **targets: dict[str, Any]) -> Profile:
    outputs = {name: {"type": "slipway", "database": name, **config} for name, config in targets.items()}
    text = yaml.safe_dump({"slipway": {"target": "{{ env_var('DBT_TARGET', 'dev') }}", "outputs": outputs}})
    (project / "profiles.yml").write_text(text, encoding="utf-8")
    return Profile(project)


def test_a_local_target_lives_in_the_project(project: Path) -> None:
    environment = written(project, dev={"mode": "exploratory"}).environment()
    assert (environment.name, environment.mode) == ("dev", Mode.EXPLORATORY)
    assert environment.home == project / ".slipway"
    assert environment.warehouse == f"file://{project}/.slipway/dev/warehouse"
    assert environment.catalog_properties["uri"] == f"sqlite:///{project}/.slipway/dev/catalog.db"
    assert environment.landing == str(project / "seeds" / "landing")
    assert environment.publishes_from_dbt


def test_variables_win_over_the_profile(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("SLIPWAY_LANDING", "s3://bucket/landing/")
    monkeypatch.setenv("SLIPWAY_WAREHOUSE", f"{tmp_path}/warehouse/")
    environment = written(project, dev={"home": "ignored", "landing": "ignored"}).environment("dev")
    assert environment.home == tmp_path / "elsewhere"
    assert environment.landing == "s3://bucket/landing"
    assert environment.warehouse == f"file://{tmp_path}/warehouse"


def test_relative_folders(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of the profile start at the project, those of a variable where the command does."""
    monkeypatch.chdir(tmp_path)
    profile = written(project, dev={"home": "kept", "landing": "../inbox"})
    assert profile.environment().home == project / "kept"
    assert profile.environment().landing == str(tmp_path / "inbox")
    monkeypatch.setenv("SLIPWAY_HOME", "here")
    monkeypatch.setenv("SLIPWAY_LANDING", "~/inbox")
    assert profile.environment().home == tmp_path / "here"
    assert profile.environment().landing == str(tmp_path / "user" / "inbox")


def test_a_remote_target_has_a_catalog_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__PROD__URI", "postgresql://db/iceberg")
    config = {"mode": "production", "warehouse": "s3://bucket/prod", "catalog": {"type": "sql"}}
    environment = written(project, prod=config).environment("prod")
    assert environment.mode is Mode.PRODUCTION
    assert environment.catalog_properties["uri"] == "postgresql://db/iceberg"
    assert environment.warehouse == "s3://bucket/prod"
    assert not environment.publishes_from_dbt


@pytest.mark.parametrize("catalog", [{"type": "rest", "uri": "x"}, {"uri": "https://rest.example"}])
def test_a_rest_server_has_its_own_name_for_a_warehouse(
    project: Path, monkeypatch: pytest.MonkeyPatch, catalog: dict[str, str]
) -> None:
    config = {"mode": "production", "warehouse": "s3://bucket/prod/", "catalog": catalog}
    given = written(project, prod=config).environment("prod")
    assert (given.warehouse, "warehouse" in given.catalog_properties) == ("s3://bucket/prod", False)
    monkeypatch.setenv("PYICEBERG_CATALOG__PROD__WAREHOUSE", "lake")
    named = written(project, prod=config).environment("prod")
    assert (named.warehouse, named.catalog_properties["warehouse"]) == ("s3://bucket/prod", "lake")


def test_a_remote_target_without_warehouse_or_catalog_says_what_to_set(project: Path) -> None:
    profile = written(
        project, prod={"mode": "production"}, half={"mode": "production", "warehouse": "s3://bucket/x"}
    )
    both = r"Set PYICEBERG_CATALOG__PROD__WAREHOUSE and PYICEBERG_CATALOG__PROD__URI \("
    with pytest.raises(ConfigError, match=f"prod has no warehouse: .*{both}"):
        profile.environment("prod")
    with pytest.raises(ConfigError, match=r"half has no catalog: .*Set PYICEBERG_CATALOG__HALF__URI \("):
        profile.environment("half")


def test_what_the_message_says_to_set_is_enough_for_a_second_remote_target(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = written(project, dev={}, prod={"mode": "production"})
    monkeypatch.setenv("PYICEBERG_CATALOG__PROD__WAREHOUSE", "s3://bucket/prod")
    monkeypatch.setenv("PYICEBERG_CATALOG__PROD__URI", "postgresql+psycopg://db/prod")
    assert profile.environment("prod").warehouse == "s3://bucket/prod"
    assert profile.environment("dev").warehouse.startswith("file://")


def test_a_target_of_a_rest_server_has_its_warehouse_in_the_profile(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__PROD__URI", "https://catalog.example.org")
    with pytest.raises(ConfigError, match=r"Set warehouse of the target prod in profiles\.yml \("):
        written(project, prod={"mode": "production"}).environment("prod")


def test_the_target_is_chosen_as_dbt_does(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = written(project, dev={}, ci={"mode": "scheduled", "local": True})
    assert profile.environment().name == "dev"
    monkeypatch.setenv("DBT_TARGET", "ci")
    assert profile.environment().name == "ci"
    assert profile.targets == ["ci", "dev"]
    with pytest.raises(ConfigError, match=r"No target nowhere in profiles\.yml\. Use one of ci, dev"):
        profile.environment("nowhere")


def test_variables_in_the_profile_are_filled_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = written(
        project, dev={"home": "{{ env_var('WHERE') }}", "landing": "{{ env_var('FROM', 'inbox') }}"}
    )
    with pytest.raises(ConfigError, match=r"profiles\.yml needs WHERE: the environment variable is not set"):
        profile.environment()
    monkeypatch.setenv("WHERE", "there")
    environment = profile.environment()
    assert (environment.home, environment.landing) == (project / "there", str(project / "inbox"))


def test_vars_of_the_project_are_those_of_its_scope(project: Path) -> None:
    found = written(project, dev={}).vars
    assert (found["a"], found["b"]) == (1, 2)
    assert "c" not in found


@pytest.mark.parametrize("home", ["a#b", "a?b"])
def test_a_warehouse_that_no_location_can_name_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, home: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / home))
    with pytest.raises(ConfigError, match=r"has # or \? in its name"):
        written(project, dev={}).environment()


def test_a_home_that_is_a_file_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "note").write_text("", encoding="utf-8")
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "note"))
    with pytest.raises(ConfigError, match="note is not a folder"):
        written(project, dev={}).environment()


def test_what_is_missing_or_broken_is_reported_in_one_line(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"profiles\.yml is missing"):
        Profile(project)
    (project / "profiles.yml").write_text("slipway: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"profiles\.yml is not YAML"):
        Profile(project)
    (project / "profiles.yml").write_text("other: {}", encoding="utf-8")
    with pytest.raises(ConfigError, match="has no profile slipway"):
        Profile(project)
    with pytest.raises(ConfigError, match="mode hopeful"):
        written(project, dev={"mode": "hopeful"}).environment()
    (project / "profiles.yml").write_text("slipway: {outputs: {dev: {type: duckdb}}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Target dev has type: duckdb: .*Write type: slipway") as refused:
        Profile(project).environment("dev")
    assert "DuckDB's settings stay" in refused.value.line()
    for database in ("", ", database: lake"):
        other = f"slipway: {{outputs: {{dev: {{type: slipway{database}}}}}}}"
        (project / "profiles.yml").write_text(other, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"Target dev has database: (none|lake): "):
            Profile(project).environment("dev")


def test_settings_may_stand_in_the_config_of_the_plugin(project: Path) -> None:
    environment = written(project, dev={"plugins": [PLUGIN], "home": "here"}).environment()
    assert (environment.mode, environment.publishes_from_dbt) == (Mode.SCHEDULED, True)
    assert environment.home == project / "here"
    with pytest.raises(ConfigError, match="Target dev has local, mode twice"):
        written(project, dev={"plugins": [PLUGIN], "mode": "production", "local": False}).environment()


def test_the_project_is_found_from_a_folder_inside(project: Path, tmp_path: Path) -> None:
    inside = project / "models" / "deep"
    inside.mkdir(parents=True)
    assert find_project(inside) == project
    with pytest.raises(NotFoundError, match=r"there is no dbt_project\.yml here or above"):
        find_project(tmp_path)


EXPRESSIONS = [
    "{{ env_var('FLAG') | as_bool }}",
    "{{ env_var('NUMBER') | as_number }}",
    "{{ env_var('NUMBER') }}",
    "{{ env_var('NUMBER') | as_native }}",
    "{{ env_var('LIST') | as_native }}",
    "{{ env_var('FLAG') | as_text }}",
    "{{ env_var('MISSING', 'b c') }}",
    "s3://{{ env_var(\"NUMBER\") }}/{{env_var('MISSING','')}}-{{ env_var( 'FLAG' ) }}'",
    "{{ env_var('MISSING', 'it\\'s') }}",
    " {{- env_var('NUMBER') -}} ",
    "{{ env_var('MISSING', '') }}",
    "{{ env_var('MISSING', 4) }}",
    "{{ env_var('MISSING', 4) | as_number }}",
    "{{ env_var('MISSING', 'x') | upper }}-{{ env_var('NUMBER') }}",
    "{% if env_var('FLAG') == 'True' %}yes{% else %}no{% endif %}",
    "{# nothing #}s3://{{ env_var('NUMBER') }}/",
    "{{ (env_var('NUMBER') | int + 1) | as_number }}",
    "{{ fromjson(env_var('JSON'))['a'] }}",
    "{{ modules.re.sub('[0-9]', 'n', env_var('NUMBER')) }}",
    "{{ var('v', 'default') }}",
]


def test_jinja_means_what_dbt_takes_it_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.context import set_invocation_context

    given = {"FLAG": "True", "NUMBER": "12", "LIST": "[1, 'a']", "JSON": '{"a": "b"}'}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MISSING", raising=False)
    set_invocation_context(given)
    by_dbt = [ProfileRenderer({}).render_value(text) for text in EXPRESSIONS]
    ours = render({"all": EXPRESSIONS})["all"]
    assert [(type(one), one) for one in ours] == [(type(one), one) for one in by_dbt]
    assert ours[:3] == [True, 12, "12"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ env_var('MISSING') }}", "profiles.yml needs MISSING: the environment variable is not set"),
        ("{{ env_var('NUMBER') | as_bool }}", "profiles.yml has .*as_bool"),
        ("{{ env_var( }}", "profiles.yml has"),
        ("{{ nothing('x') }}", "profiles.yml has .*nothing"),
    ],
)
def test_jinja_that_cannot_be_rendered(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.setenv("NUMBER", "12")
    with pytest.raises(ConfigError, match=message):
        render(text)


@pytest.mark.parametrize(
    ("local", "expected"),
    [("{{ env_var('L') | as_bool }}", True), ("{{ env_var('L', 'x') }}", True), (False, False)],
)
def test_a_filter_in_a_target(
    project: Path, monkeypatch: pytest.MonkeyPatch, local: object, expected: bool
) -> None:
    monkeypatch.setenv("L", "True")  # as dbt wants it
    config = {
        "mode": "scheduled",
        "local": local,
        "warehouse": "s3://w",
        "catalog": {"uri": "http://c", "type": "rest"},
    }
    assert written(project, dev=config).environment().publishes_from_dbt is expected
    with pytest.raises(ConfigError, match="Target dev has local: perhaps"):
        written(project, dev={**config, "local": "perhaps"}).environment()
