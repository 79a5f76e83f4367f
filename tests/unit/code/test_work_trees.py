"""Work trees: a version of the project in a folder, of which git knows nothing afterwards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from slipway.code.git import worktree


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
