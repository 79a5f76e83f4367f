"""Work trees: a version of the project in a folder, of which git knows nothing afterwards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from slipway.code.git import files_at, worktree
from slipway.errors import NotFoundError


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_next_one_forgets_those_of_processes_that_were_killed(tmp_path: Path) -> None:
    project, killed = tmp_path / "project", tmp_path / "killed"
    project.mkdir()
    git(project, "init", "--quiet")
    (project / "model.sql").write_text("select 1")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "one")
    git(project, "worktree", "add", "--quiet", "--detach", str(killed))
    shutil.rmtree(killed)
    with worktree(project, git(project, "rev-parse", "HEAD").strip(), tmp_path / "code") as folder:
        assert (folder / "model.sql").read_text() == "select 1"
    assert git(project, "worktree", "list", "--porcelain").count("worktree ") == 1


def test_what_files_held_at_a_commit(tmp_path: Path) -> None:
    """Those of a folder itself, whatever is there now; a place that there was not is empty."""
    project = tmp_path / "project"
    (project / "contracts" / "old").mkdir(parents=True)
    git(tmp_path, "init", "--quiet")
    for name, text in (("a b.yaml", "one"), ("ü.yaml", "two"), ("old/c.yaml", "three")):
        (project / "contracts" / name).write_text(text)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    shutil.rmtree(project / "contracts")
    assert files_at(project, commit, project / "contracts") == {"a b.yaml": b"one", "ü.yaml": b"two"}
    assert files_at(project, commit, project / "contracts" / "a b.yaml") == {"a b.yaml": b"one"}
    assert files_at(project, commit, project / "contract") == {}
    assert files_at(tmp_path, commit, tmp_path) == {}
    with pytest.raises(NotFoundError, match="is outside of the repository"):
        files_at(project, commit, tmp_path.parent)
