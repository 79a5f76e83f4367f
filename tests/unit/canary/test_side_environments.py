"""A side is built with the packages of its own lock file, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.harness.records import manifest

from slipway.canary import side_environments as module
from slipway.canary.side_environments import SideEnvironments, side_environments
from slipway.code.lock_files import locked_packages, package_differences
from slipway.errors import ConfigError, SlipwayError

HERE = f"packaging=={version('packaging')} --hash=sha256:a\n"
OTHER = "packaging==0.1 --hash=sha256:b\n"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Side to the lock file that an environment was asked for of; none is made."""
    asked: dict[str, bytes] = {}

    def make(lock: bytes, of: str, home: Path, tell: object) -> Path:
        asked[of] = lock
        return home / of

    monkeypatch.setattr(module, "locked_interpreter", make)
    return asked


def sides(folder: Path, *, base: Mapping[str, str], head: Mapping[str, str]) -> dict[str, Path]:
    """Projects with some files."""
    found = {"base": folder / "base", "head": folder / "head"}
    for side, files in (("base", base), ("head", head)):
        (found[side] / "scripts" / "slipway").mkdir(parents=True)
        for name, text in files.items():
            (found[side] / name).write_text(text, encoding="utf-8")
    return found


def locks(folder: Path, base: str, head: str) -> dict[str, Path]:
    return sides(folder, base={"requirements.lock": base}, head={"requirements.lock": head})


def test_the_same_packages_need_no_environment(made: dict[str, bytes], tmp_path: Path) -> None:
    for number, (base, head) in enumerate(((OTHER, OTHER), (HERE, f"# written by another program\n{HERE}"))):
        found = side_environments(locks(tmp_path / str(number), base, head), tmp_path, print)
        assert (found.interpreters, found.remarks(), made) == ({}, [], {})


def test_only_a_side_that_the_running_environment_is_not_gets_another(
    made: dict[str, bytes], tmp_path: Path
) -> None:
    found = side_environments(locks(tmp_path, OTHER, HERE), tmp_path, print)
    assert found.interpreters == {"base": tmp_path / "base"}
    assert made == {"base": OTHER.encode()}
    words = f"packaging 0.1 → {version('packaging')}"
    assert found.remarks()[0] == f"Packages differ, and each side was built with its own: {words}."


def test_the_head_gets_one_when_its_lock_file_is_not_installed_yet(
    made: dict[str, bytes], tmp_path: Path
) -> None:
    side_environments(locks(tmp_path / "head", HERE, OTHER), tmp_path, print)
    assert made.keys() == {"head"}
    side_environments(locks(tmp_path / "both", OTHER, OTHER.replace("0.1", "0.2")), tmp_path, print)
    assert made.keys() == {"base", "head"}


@pytest.mark.parametrize(
    ("base", "head", "why"),
    [
        ({}, {"requirements.lock": HERE}, "the other side has a requirements.lock, and base has none"),
        ({"requirements.lock": HERE}, {}, "the other side has a requirements.lock, and head has none"),
        ({"requirements.txt": "a\n"}, {"requirements.txt": "# b\nb\n"}, "requirements.txt differ, and no"),
        ({"uv.lock": "1"}, {"uv.lock": "2"}, "their uv.lock differ, and no requirements.lock says"),
        ({"requirements.lock": "packaging\n"}, {"requirements.lock": HERE}, "it does not name one version"),
    ],
    ids=["none in base", "none in head", "other requirements", "another kind of lock file", "no lock file"],
)
def test_what_is_not_known_is_refused(
    made: dict[str, bytes], tmp_path: Path, base: dict[str, str], head: dict[str, str], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        side_environments(sides(tmp_path, base=base, head=head), tmp_path, print)
    assert made == {}


def test_comments_of_requirements_do_not_matter(tmp_path: Path) -> None:
    base, head = {"requirements.txt": "a\n"}, {"requirements.txt": "# what for\na \n\n"}
    assert side_environments(sides(tmp_path, base=base, head=head), tmp_path, print) == SideEnvironments()


def test_a_lock_file_without_slipway_needs_a_slipway_in_the_project(
    made: dict[str, bytes], tmp_path: Path
) -> None:
    projects = locks(tmp_path, OTHER, HERE)
    (projects["base"] / "scripts" / "slipway").rmdir()
    with pytest.raises(ConfigError, match=r"base cannot be built .* does not name dbt-slipway"):
        side_environments(projects, tmp_path, print)
    (projects["base"] / "requirements.lock").write_text(f"{OTHER}dbt_slipway==1 --hash=a:b\n")
    assert side_environments(projects, tmp_path, print).interpreters == {"base": tmp_path / "base"}
    assert made.keys() == {"base"}


def test_a_side_that_was_built_with_other_versions_is_not_compared() -> None:
    run = manifest()
    run = run.model_copy(update={"versions": run.versions.model_copy(update={"duckdb": "1.0.0"})})
    right, wrong = (locked_packages(f"duckdb=={number} --hash=a:b", "head") for number in ("1.0.0", "0.0.1"))
    SideEnvironments(locked={"head": right}).check({"head": run})
    with pytest.raises(
        SlipwayError, match=r"head cannot be compared: it was built with duckdb .* names 0\.0\.1"
    ):
        SideEnvironments(locked={"head": wrong}).check({"head": run})


def test_many_differences_are_counted() -> None:
    base, head = (
        locked_packages("".join(f"p{at}=={number} --hash=a:b\n" for at in range(12)), "a side")
        for number in ("1", "2")
    )
    remark = SideEnvironments(packages=package_differences(base, head)).remarks()[0]
    assert remark.endswith("and 2 more.")
