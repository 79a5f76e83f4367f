"""Git work trees: another version of the code beside this one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.domain.errors import NotFoundError, UnavailableError

_MAIN = ("origin/main", "origin/master", "main", "master")


def resolve(project: Path, ref: str) -> str:
    """The commit that a ref names.

    Raises:
        NotFoundError: there is no such commit, or no repository.
    """
    if _git(project, "rev-parse", "--git-dir").returncode:
        raise NotFoundError(
            f"{project} is not in a git repository",
            "other versions of the code come from git",
            "run git init and commit",
        )
    done = _git(project, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if done.returncode:
        raise NotFoundError(
            f"no commit {ref}", "git does not know it", "fetch it or name another with --base"
        )
    return done.stdout.strip()


def default_base(project: Path) -> str:
    """What a change is compared with when nothing is named.

    The commit where this branch left the main one; on the main branch itself the last commit when there are
    uncommitted changes, otherwise the one before.
    """
    head = resolve(project, "HEAD")
    for name in _MAIN:
        done = _git(project, "merge-base", "HEAD", name)
        if done.returncode == 0 and done.stdout.strip() != head:
            return done.stdout.strip()
    if _git(project, "status", "--porcelain", "--untracked-files=normal").stdout.strip():
        return head
    return resolve(project, "HEAD~1")


def top_level(project: Path) -> Path | None:
    """Folder of the repository that a project is in, None where there is none."""
    done = _git(project, "rev-parse", "--show-toplevel")
    return Path(done.stdout.strip()).resolve() if done.returncode == 0 else None


@contextmanager
def worktree(project: Path, commit: str, folder: Path) -> Iterator[Path]:
    """The project as it was at a commit, in a folder that is removed afterwards.

    Yields:
        The project's folder inside the work tree.

    Raises:
        UnavailableError: git refuses to make the work tree.
    """
    top = Path(_git(project, "rev-parse", "--show-toplevel").stdout.strip())
    done = _git(project, "worktree", "add", "--detach", "--force", str(folder), commit)
    if done.returncode:
        why = " ".join(done.stderr.split())
        raise UnavailableError(f"no work tree at {commit[:12]}", why, "run git worktree prune")
    try:
        yield folder / project.resolve().relative_to(top.resolve())
    finally:
        _git(project, "worktree", "remove", "--force", str(folder))
        prune(project)


def worktrees(project: Path) -> list[Path]:
    """Folders of all work trees that git knows; empty where there is no repository."""
    try:
        done = _git(project, "worktree", "list", "--porcelain")
    except UnavailableError:
        return []
    lines = done.stdout.splitlines()
    return [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]


def prune(project: Path) -> None:
    """Have git forget work trees whose folders are gone."""
    _git(project, "worktree", "prune")


def _git(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(project), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise UnavailableError("git is not installed", "other versions of the code come from it") from None
