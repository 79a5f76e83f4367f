"""Which release a change is compared with, by the commits of releases and the history that a clone has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from tests.harness.records import NO_COMMIT, environment, release

from slipway.ci.base_release import BaseRelease, base_release
from slipway.environments.environment import local_catalog
from slipway.errors import NotFoundError
from slipway.iceberg.tables import Tables
from slipway.records.run_manifest import Code

if TYPE_CHECKING:
    from slipway.records.release_records import Release
    from slipway.records.store import Records


class Repository:
    """A git repository whose commits have names."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.named = folder, dict[str, str]()
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        named = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        variables = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        command = ["git", "-C", str(self.folder), *named, *arguments]
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self, name: str) -> None:
        self.git("commit", "--quiet", "--allow-empty", "--message", name)
        self.named[name] = self.git("rev-parse", "HEAD")

    def released(self, number: int, name: str, *, dirty: bool = False) -> Release:
        return release(number, code=Code(commit=self.named.get(name, name * 40), dirty=dirty))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Main has the commits a, b, c, d; a branch leaves it at b and has one of its own."""
    made = Repository(tmp_path / "shop")
    for name in ("a", "b"):
        made.commit(name)
    made.git("branch", "topic")
    for name in ("c", "d"):
        made.commit(name)
    made.git("checkout", "--quiet", "topic")
    made.commit("own")
    return made


def found(repository: Repository, releases: list[Release], base: str | None = None) -> BaseRelease:
    class Recorded:
        def releases(self) -> list[Release]:
            return releases

    folder = repository.folder.parent
    place = environment(folder, name="prod", catalog_properties=local_catalog(folder))
    assert Tables(place).catalog.name == "prod"
    return base_release(repository.folder, place, cast("Records", Recorded()), base)


def numbers(known: BaseRelease) -> list[int]:
    return [one.number for one in known.releases]


def test_the_release_of_the_commit_where_the_branch_was_cut(repository: Repository) -> None:
    releases = [repository.released(number, name) for number, name in enumerate("abcd", start=1)]
    known = found(repository, releases)
    assert numbers(known) == [1, 2]
    assert known.remarks == (
        "The target shows release 4 by now; what was released since release 2 is not looked at.",
    )


def test_the_newest_of_several_of_one_commit_also_after_a_rollback(repository: Repository) -> None:
    names = ["a", "b", "c", "b", "d"]
    releases = [repository.released(number, name) for number, name in enumerate(names, start=1)]
    assert found(repository, releases).release.number == 4


def test_an_earlier_commit_where_none_was_released_at_the_base(repository: Repository) -> None:
    known = found(repository, [repository.released(1, "a"), repository.released(2, "d")])
    assert known.release.number == 1
    merge_base, earlier = repository.named["b"][:12], repository.named["a"][:12]
    assert known.remarks[0] == (
        f"Release 1 is of commit {earlier}, before the merge base {merge_base}:"
        " what the commits between them change counts as a difference, too."
    )


def test_uncommitted_changes_only_where_there_is_no_clean_release(repository: Repository) -> None:
    clean, dirty = repository.released(1, "a"), repository.released(2, "b", dirty=True)
    assert found(repository, [clean, dirty]).release.number == 1
    known = found(repository, [dirty])
    assert known.release.number == 2
    assert known.remarks == ("Release 2 was built with uncommitted changes.",)


def test_a_named_base_and_what_is_published(repository: Repository) -> None:
    releases = [repository.released(number, name) for number, name in enumerate("abcd", start=1)]
    assert found(repository, releases, "main~1").release.number == 3
    assert found(repository, releases, "published") == BaseRelease(releases)
    with pytest.raises(NotFoundError, match="No commit nowhere: git does not know it"):
        found(repository, releases, "nowhere")


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (
            ["e", "f"],
            "the commits of 2 releases are not in its history; they may be of a fork, of other branches, or from before a rebase.",
        ),
        ([None, None], "no release has the code of a commit."),
    ],
    ids=["of a fork", "no commits"],
)
def test_commits_that_are_not_known(repository: Repository, codes: list[str | None], reason: str) -> None:
    releases = [
        repository.released(number, code) if code else release(number, code=NO_COMMIT)
        for number, code in enumerate(codes, start=1)
    ]
    known = found(repository, releases)
    assert known.release.number == 2
    merge_base = repository.named["b"][:12]
    (remark,) = known.remarks
    assert remark == (
        f"Compared with what prod shows now, because no release is known to be of the merge base {merge_base},"
        f" or of a commit before it: {reason}"
    )


def test_a_shallow_clone(repository: Repository, tmp_path: Path) -> None:
    releases = [repository.released(1, "a"), repository.released(2, "d")]
    shallow = Repository(tmp_path / "shallow")
    shallow.git("fetch", "--quiet", "--depth", "2", repository.folder.as_uri(), "topic")
    shallow.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    known = found(shallow, releases)
    assert known.release.number == 2
    assert "this clone is shallow and has only 1 commit of its history" in known.remarks[0]
    assert "git fetch --unshallow" in known.remarks[0]
    shallow = Repository(tmp_path / "shallowest")
    shallow.git("fetch", "--quiet", "--depth", "1", repository.folder.as_uri(), "topic")
    shallow.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    known = found(shallow, releases)
    assert known.release.number == 2
    assert known.remarks[0].startswith(
        "Compared with what prod shows now, because the merge base is not known: "
    )


def test_no_repository_and_no_release(tmp_path: Path) -> None:
    made = Repository(tmp_path / "shop")
    with pytest.raises(NotFoundError, match=r"prod has no release to compare with: .* slipway ci --full"):
        found(made, [])
    known = found(made, [release(1)])
    assert known.release.number == 1
    assert known.remarks[0].startswith(
        "Compared with what prod shows now, because the merge base is not known: "
    )
