"""What init writes, adds and asks for, and how a later version tells who changed a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from slipway import __version__
from slipway.adoption import adopt, generated
from slipway.adoption.adopt import Action, Adoption, Repository, State, apply, check, plan
from slipway.errors import ConfigError, DamagedError, NotFoundError

BAKERY = Path(__file__).parents[2] / "cli" / "bakery"


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def bakery(tmp_path: Path) -> Path:
    """A project of other origin."""
    return Path(shutil.copytree(BAKERY, tmp_path / "bakery"))


def done(folder: Path, *, with_example: bool = False) -> Adoption:
    adoption = plan(folder, with_example=with_example)
    apply(adoption)
    return adoption


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {str(name): path.read_bytes() for name, path in found.items() if name.parts[0] != ".git"}


def actions(adoption: Adoption) -> dict[str, Action]:
    return {step.name: step.action for step in adoption.steps}


def states(folder: Path) -> dict[str, State]:
    return {one.name: one.state for one in check(folder) if one.state is not State.SAME}


def test_an_empty_folder_gets_a_whole_project(tmp_path: Path) -> None:
    adoption = done(tmp_path / "2 bike-shops")
    assert set(actions(adoption).values()) == {Action.WRITTEN}
    assert contents(adoption.folder).keys() == actions(adoption).keys()
    project = yaml.safe_load((adoption.folder / "dbt_project.yml").read_text())
    assert project["name"] == "project_2_bike_shops"
    profiles = yaml.safe_load((adoption.folder / "profiles.yml").read_text())
    outputs = profiles[project["profile"]]["outputs"]
    assert {name: (one["type"], one["database"]) for name, one in outputs.items()} == {
        name: ("slipway", name) for name in ("dev", "ci", "prod")
    }
    assert (adoption.folder / "requirements.txt").read_text() == f"dbt-slipway=={__version__}\n"
    assert yaml.safe_load((adoption.folder / ".github/workflows/slipway.yml").read_text())["jobs"]


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_second_time_changes_nothing(tmp_path: Path, bakery: Path, *, existing: bool) -> None:
    folder = bakery if existing else tmp_path / "new"
    done(folder)
    before = contents(folder)
    assert set(actions(done(folder)).values()) == {Action.KEPT}
    assert contents(folder) == before
    assert states(folder) == {}


def test_a_new_project_gets_a_repository_where_none_is_around_it(
    tmp_path: Path, bakery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shops" / "one"
    assert plan(shop).repository is Repository.NEW
    assert not shop.exists()
    done(shop)
    assert (shop / ".git" / "HEAD").is_file()
    assert plan(shop).repository is Repository.THERE
    assert done(bakery).repository is Repository.NONE  # a project's own history is not for init to begin
    assert not (bakery / ".git").exists()
    around = tmp_path / "around"
    (around / ".git").mkdir(parents=True)
    assert done(around / "shop").repository is Repository.THERE
    assert not (around / "shop" / ".git").exists()
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert done(tmp_path / "without").repository is Repository.NO_GIT


def test_only_seeds_and_snapshots_that_are_there_get_a_layer(bakery: Path, tmp_path: Path) -> None:
    """dbt warns of the configuration of what is not there, and dbt init makes the folders."""
    (bakery / "snapshots").mkdir()
    (bakery / "snapshots" / ".gitkeep").touch()
    done(bakery)
    project = yaml.safe_load((bakery / "dbt_project.yml").read_text())
    assert ("seeds" in project, "snapshots" in project) == (True, False)
    new = yaml.safe_load((done(tmp_path / "new").folder / "dbt_project.yml").read_text())
    assert not {"seeds", "snapshots"} & new.keys()


def test_a_project_of_other_origin_keeps_every_line(bakery: Path) -> None:
    before = contents(bakery)
    (bakery / ".gitignore").write_bytes(b"target/\r\n*.duckdb")
    (bakery / "requirements.txt").write_text("dbt-duckdb  # the adapter")
    before |= {name: (bakery / name).read_bytes() for name in (".gitignore", "requirements.txt")}
    adoption = done(bakery)
    after = contents(bakery)
    for name, content in before.items():
        rest = iter(after[name].splitlines())
        assert all(line in rest for line in content.splitlines()), name
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name, action in actions(adoption).items() if action is Action.ADDED}
    assert changed == {"dbt_project.yml", "profiles.yml", ".gitignore", "requirements.txt"}
    assert after[".gitignore"].count(b"target/") == 1
    models = yaml.safe_load(after["dbt_project.yml"])["models"]["bakery"]
    assert (models["+schema"], models["marts"]["+schema"]) == ("curated", "serving")
    lake = yaml.safe_load(after["profiles.yml"])["bakery"]["outputs"]["lake"]
    assert (lake["type"], lake["settings"]) == ("slipway", {"default_null_order": "nulls_last"})
    assert (adoption.target, adoption.is_default) == ("lake", False)


def test_what_would_change_a_line_is_reported(bakery: Path) -> None:
    text = (bakery / "dbt_project.yml").read_text()
    text = text.replace(
        "    marts:\n      +materialized: table # what", "    marts: {+materialized: table} # what"
    )
    (bakery / "dbt_project.yml").write_text(text)
    (bakery / "requirements.txt").write_text("dbt-slipway==0.0.1\n")
    by_hand = {step.name: step for step in done(bakery).steps if step.action is Action.BY_HAND}
    assert yaml.safe_load(by_hand["dbt_project.yml"].shown) == {
        "models": {"bakery": {"marts": {"+schema": "serving"}}}
    }
    assert by_hand["requirements.txt"].shown == f"dbt-slipway=={__version__}\n"
    assert by_hand["requirements.txt"].detail == "in place of dbt-slipway==0.0.1"
    assert (bakery / "requirements.txt").read_text() == "dbt-slipway==0.0.1\n"
    assert states(bakery) == {"dbt_project.yml": State.LACKING, "requirements.txt": State.LACKING}


def test_own_layers_are_kept(bakery: Path) -> None:
    text = (bakery / "dbt_project.yml").read_text().replace("  bakery:\n", "  bakery:\n    +schema: mine\n")
    (bakery / "dbt_project.yml").write_text(text)
    done(bakery)
    after = (bakery / "dbt_project.yml").read_text()
    assert after.startswith(text)
    assert yaml.safe_load(after.removeprefix(text)) == {"flags": {"skip_nodes_if_on_run_start_fails": True}}


def test_a_layer_for_every_folder_is_enough(bakery: Path) -> None:
    text = (bakery / "dbt_project.yml").read_text()
    for name in ("staging", "marts"):
        text = text.replace(f"    {name}:\n", f"    {name}:\n      +schema: {name}\n")
    (bakery / "dbt_project.yml").write_text(text)
    done(bakery)
    after = yaml.safe_load((bakery / "dbt_project.yml").read_text())["models"]["bakery"]
    assert {name: folder["+schema"] for name, folder in after.items()} == {
        "staging": "staging",
        "marts": "marts",
    }


def test_a_profile_elsewhere_is_shown_and_not_written(
    bakery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "profiles"
    elsewhere.mkdir()
    (bakery / "profiles.yml").rename(elsewhere / "profiles.yml")
    before = contents(elsewhere)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(elsewhere))
    (step,) = [step for step in done(bakery).steps if step.action is Action.BY_HAND]
    assert step.name == str(elsewhere / "profiles.yml")
    added = yaml.safe_load(step.shown)
    assert added["bakery"]["outputs"]["lake"]["type"] == "slipway"
    assert contents(elsewhere) == before
    assert not (bakery / "profiles.yml").exists()


def test_a_profile_of_the_user_is_noted(bakery: Path, nobodys_home: Path) -> None:
    (nobodys_home / ".dbt").mkdir()
    (bakery / "profiles.yml").rename(nobodys_home / ".dbt" / "profiles.yml")
    adoption = done(bakery)
    assert "is not read in this project any more" in adoption.notes[0]
    assert (
        yaml.safe_load((bakery / "profiles.yml").read_text())["bakery"]["outputs"]["dev"]["type"] == "slipway"
    )


def test_a_target_of_slipways_is_enough(bakery: Path) -> None:
    text = "bakery: {target: main, outputs: {main: {type: slipway, database: main}}}\n"
    (bakery / "profiles.yml").write_text(text)
    adoption = done(bakery)
    assert (adoption.target, adoption.is_default) == ("main", True)
    assert (bakery / "profiles.yml").read_text() == text
    assert "--target main" in (bakery / ".github/workflows/slipway.yml").read_text()


def test_attached_databases_come_along(bakery: Path) -> None:
    text = (bakery / "profiles.yml").read_text()
    (bakery / "profiles.yml").write_text(f"{text}      attach: [{{path: other.duckdb}}]\n")
    done(bakery)
    lake = yaml.safe_load((bakery / "profiles.yml").read_text())["bakery"]["outputs"]["lake"]
    assert lake["attach"] == [{"path": ":memory:", "alias": "lake"}, {"path": "other.duckdb"}]


@pytest.mark.long
def test_an_interrupted_init_goes_on(tmp_path: Path) -> None:
    """Killed before any of its files, and then begun again: what is there in the end is the same."""
    whole = done(tmp_path / "a" / "shop")
    adoption = plan(tmp_path / "b" / "shop")
    for count in range(1, len(adoption.steps)):
        folder = tmp_path / str(count) / "shop"
        begun = plan(folder)
        apply(Adoption(folder, begun.steps[:count], begun.target, begun.is_default))
        done(folder)
        found, expected = contents(folder), contents(whole.folder)
        assert {name: found.get(name) for name in whole_files(expected)} == whole_files(expected), count
    assert len(adoption.steps) > 10


def whole_files(found: dict[str, bytes]) -> dict[str, bytes]:
    """What a project needs, without the models to begin with."""
    needed = {*generated.project_files(generated.Facts("shop", "shop")), ".slipway-init.json"}
    return {name: content for name, content in found.items() if name in needed}


def test_a_new_version_says_what_it_writes_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = done(tmp_path / "shop").folder
    (folder / "profiles.yml").write_text(
        (folder / "profiles.yml").read_text().replace("threads: 4", "threads: 8")
    )
    (folder / ".gitignore").write_text("target\n")
    assert states(folder) == {"profiles.yml": State.YOURS, ".gitignore": State.YOURS}

    later = generated.project_files

    def other(facts: generated.Facts) -> dict[str, bytes]:
        texts = later(facts)
        texts[".gitignore"] += b"/new/\n"
        texts["dbt_project.yml"] += b"# new\n"
        return texts

    monkeypatch.setattr(adopt, "project_files", other)
    (folder / ".github/workflows/slipway.yml").unlink()
    assert states(folder) == {
        "profiles.yml": State.YOURS,
        ".gitignore": State.BOTH,
        "dbt_project.yml": State.VERSION,
        ".github/workflows/slipway.yml": State.MISSING,
    }
    found = {one.name: one for one in check(folder)}
    assert "+# new" in found["dbt_project.yml"].diff
    assert found["dbt_project.yml"].version == __version__
    (folder / "dbt_project.yml").unlink()
    done(folder)
    assert "dbt_project.yml" not in states(folder)


def test_ends_of_lines_that_git_gave_are_no_change(tmp_path: Path) -> None:
    folder = done(tmp_path / "shop").folder
    path = folder / "profiles.yml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert states(folder) == {}


def test_models_to_begin_with_are_the_projects_own(tmp_path: Path) -> None:
    folder = done(tmp_path / "shop").folder
    shutil.rmtree(folder / "models")
    done(folder)
    assert not (folder / "models").exists()
    assert states(folder) == {}


def test_refusals(tmp_path: Path, bakery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="is inside the dbt project"):
        plan(bakery / "models" / "new")
    with pytest.raises(ConfigError, match="The example does not go into"):
        plan(bakery, with_example=True)
    with pytest.raises(NotFoundError, match="Run slipway init"):
        check(tmp_path)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match=r"which has no profiles\.yml"):
        plan(bakery)
    monkeypatch.delenv("DBT_PROFILES_DIR")
    monkeypatch.setattr(adopt, "example_files", dict)
    with pytest.raises(NotFoundError, match="The example is not in this installation"):
        plan(tmp_path / "shop", with_example=True)
    (bakery / "dbt_project.yml").write_text("name: [")
    with pytest.raises(ConfigError, match=r"dbt_project\.yml is not YAML"):
        plan(bakery)
    (tmp_path / ".slipway-init.json").write_text(json.dumps({"files": 3}))
    with pytest.raises(DamagedError, match="is damaged"):
        plan(tmp_path)


def test_a_dry_run_writes_nothing(bakery: Path) -> None:
    before = contents(bakery)
    plan(bakery)
    assert contents(bakery) == before
