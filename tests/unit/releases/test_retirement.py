"""Which tables can be retired, and what the release that retires them leaves; tables are staged without dbt."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from tests.harness.commands import ROOT
from tests.harness.environments import Place
from tests.harness.records import NOW

from slipway.environments.environment import Mode
from slipway.environments.profiles import Profile
from slipway.errors import ConflictError, NotFoundError, SlipwayError, UsageError
from slipway.records.release_records import Hold
from slipway.releases import retirement
from slipway.releases.holds import Holds
from slipway.releases.retirement import Retirement, propose, retire


def described(*tables: str, sources: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - dbt's manifest
    """dbt's manifest of a project that makes tables, and reads others as sources."""
    models = {
        name: SimpleNamespace(
            resource_type="model",
            schema=name.split(".")[0],
            alias=name.split(".")[1],
            name="m",
            original_file_path="models/m.sql",
        )
        for name in tables
    }
    read = {
        name: SimpleNamespace(
            schema=name.split(".")[0],
            identifier=name.split(".")[1],
            database="dev",
            source_name="shop",
            name="s",
            original_file_path="models/s.yml",
        )
        for name in sources
    }
    return SimpleNamespace(nodes=models, sources=read)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "dbt_project.yml").write_text("name: shop\nprofile: slipway\n", encoding="utf-8")
    shutil.copy(ROOT / "profiles.yml", folder)
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DBT_TARGET", raising=False)
    return folder


@pytest.fixture
def dev(project: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Place]:
    """The environment dev, in which nothing is published yet."""
    made = Place(Profile(project).environment("dev"), "", connection)
    yield made
    catalogs: tuple[Any, ...] = (made.tables.catalog, made.catalog())
    for catalog in catalogs:
        catalog.engine.dispose()


def proposed(project: Path, *names: str, manifest: Any = None, dry: bool = False) -> Retirement:  # noqa: ANN401
    found = manifest or described("serving.kept")
    return propose(project, None, names, lambda *_: found, dry=dry)


def test_a_table_goes_from_the_catalog_as_a_release_and_its_files_stay(project: Path, dev: Place) -> None:
    dev.publish(serving_old=1, serving_kept=2)
    location = dev.tables.locations()[dev.id("serving.old")]
    proposal = proposed(project, "serving.o*")
    assert proposal.tables.keys() == {"serving.old"}
    assert dev.numbers() == {"serving_old": 1, "serving_kept": 2}
    release = retire(proposal, "unused")
    assert dev.numbers() == dev.visible() == {"serving_kept": 2}
    assert (release.number, release.reason, release.retirement) == (2, "unused", True)
    assert (release.retired, list(release.tables)) == ({"serving.old": location}, ["serving.kept"])
    assert dev.records.releases()[-1] == release
    assert Path(location.removeprefix("file://")).exists()
    with pytest.raises(UsageError, match=r"serving\.old: no table of a release has that name"):
        proposed(project, "serving.old")


def test_nothing_is_published_yet(project: Path, dev: Place) -> None:
    with pytest.raises(NotFoundError, match="Nothing can be retired: there is no release yet"):
        proposed(project, "serving.old")


@pytest.mark.parametrize(
    ("names", "manifest", "message"),
    [
        (
            ["serving.old"],
            described("serving.old"),
            r"serving\.old cannot be retired: model m \(models/m.sql\) makes it",
        ),
        (
            ["serving.old"],
            described(sources=("serving.old",)),
            r"serving\.old cannot be retired: source shop\.s \(models/s.yml\) reads it",
        ),
        (["*"], described("x.y"), "Nothing was retired: the catalog would name no table"),
        (["serving.other"], described("x.y"), r"serving\.other: no table of a release has that name"),
    ],
    ids=["a model makes it", "a source reads it", "all of them", "no such table"],
)
def test_refused(project: Path, dev: Place, names: list[str], manifest: Any, message: str) -> None:  # noqa: ANN401
    dev.publish(serving_old=1, serving_kept=2)
    with pytest.raises(SlipwayError, match=message):
        proposed(project, *names, manifest=manifest)


def test_a_project_that_dbt_cannot_parse(project: Path, dev: Place) -> None:
    dev.publish(serving_old=1, serving_kept=2)
    with pytest.raises(SlipwayError, match="dbt cannot parse the project"):
        propose(project, None, ["serving.old"], lambda *_: None)


def test_a_source_of_the_same_name_in_another_database_is_another_table(project: Path, dev: Place) -> None:
    dev.publish(serving_old=1, serving_kept=2)
    manifest = described(sources=("serving.old",))
    manifest.sources["serving.old"].database = "other"
    assert proposed(project, "serving.old", manifest=manifest).tables.keys() == {"serving.old"}


def test_rows_that_another_program_committed_are_not_taken_away(project: Path, dev: Place) -> None:
    dev.publish(serving_old=1, serving_kept=2)
    dev.commit("serving.old")
    with pytest.raises(ConflictError, match=r"serving\.old cannot be retired: its current snapshot"):
        proposed(project, "serving.old")


def test_a_commit_after_the_proposal_is_not_lost(project: Path, dev: Place) -> None:
    dev.publish(serving_old=1, serving_kept=2)
    proposal = proposed(project, "serving.old")
    dev.commit("serving.old")
    with pytest.raises(ConflictError, match=r"serving\.old"):
        retire(proposal, "unused")
    assert dev.numbers() == {"serving_old": 1, "serving_kept": 2}


def test_a_hold_refuses_it(project: Path, dev: Place) -> None:
    dev.publish(serving_old=1, serving_kept=2)
    proposal = proposed(project, "serving.old")
    Holds(dev.records).place_hold(Hold(target="dev", release=1, placed_at=NOW, who="Ada", reason="wrong"))
    with pytest.raises(SlipwayError, match="A retirement in dev is refused: dev is on hold"):
        retire(proposal, "unused")
    assert dev.numbers() == {"serving_old": 1, "serving_kept": 2}


def test_production_needs_a_commit(project: Path, dev: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    production = replace(dev.environment, mode=Mode.PRODUCTION)
    monkeypatch.setattr(retirement, "Profile", lambda _: SimpleNamespace(environment=lambda _: production))
    dev.publish(serving_old=1, serving_kept=2)
    with pytest.raises(SlipwayError, match="A retirement in dev needs a clean work tree at a commit"):
        proposed(project, "serving.old")


@pytest.mark.parametrize("dry", [True, False])
def test_a_publication_that_died_is_brought_to_its_end_first_unless_nothing_may_be_written(
    project: Path, dev: Place, monkeypatch: pytest.MonkeyPatch, dry: bool
) -> None:
    dev.publish(serving_old=1, serving_kept=2)
    publish = dev.stage(serving_old=3)
    with monkeypatch.context() as patch:
        patch.setattr("slipway.records.store.Records.write_release", interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish()
    if dry:
        with pytest.raises(SlipwayError):
            proposed(project, "serving.old", dry=True)
        assert len(dev.records.releases()) == 1
    else:
        proposal = proposed(project, "serving.old")
        assert len(proposal.healed) == 1
        assert proposal.last.number == 2


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
