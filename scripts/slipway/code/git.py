"""Git: what it knows of a project, and work trees with another version of the code.

Every command runs without the caller's ``GIT_*`` variables: they could name another repository, index or work tree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from slipway.errors import NotFoundError, SlipwayError, UnavailableError

_MAIN = ("origin/main", "origin/master", "main", "master")
# No program that the repository's configuration names is run to say what changed; no line end is converted.
_PLAIN = ("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "-c", "core.hooksPath=/dev/null")
_AS_COMMITTED = ("-c", "core.autocrlf=false", "-c", "core.sparseCheckout=false")


def resolve(project: Path, ref: str) -> str:
    """The commit that a ref names.

    Raises:
        NotFoundError: there is no such commit, or no repository.
    """
    if (found := _git(project, "rev-parse", "--git-dir")).returncode:
        raise NotFoundError(
            f"{project} has no git repository that can be read",
            reason_of(found.stderr),
            "Other versions of the code come from git: make a repository with git init and commit, or repair it",
        )
    done = _git(project, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if done.returncode:
        raise NotFoundError(
            f"No commit {ref}", "git does not know it", "Fetch it or name another with --base"
        )
    return done.stdout.strip()


def default_base(project: Path) -> tuple[str, str]:
    """What a change is compared with when nothing is named: the commit, and where it is.

    That is where this branch was cut: of the places where it left a main branch, local or remote, the nearest. Without a commit
    of its own, and on a main branch itself, it is the last commit when there are uncommitted changes.
    """
    head = resolve(project, "HEAD")
    changed = bool(_git(project, "status", "--porcelain", "--untracked-files=normal").stdout.strip())
    branch = _git(project, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    cut: list[tuple[int, str, str]] = []
    for name in () if branch in _MAIN else _MAIN:
        done = _git(project, "merge-base", "HEAD", name)
        found = done.stdout.strip()
        if done.returncode == 0 and (found != head or changed):
            since = _git(project, "rev-list", "--count", f"{found}..HEAD").stdout.strip()
            cut.append((int(since or 0), found, f"where this branch left {name}"))
    if cut:
        return min(cut, key=lambda item: item[0])[1:]
    if changed:
        return head, "the last commit"
    return resolve(project, "HEAD~1"), "the commit before the last"


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
    done = _git(project, *_AS_COMMITTED, "worktree", "add", "--detach", "--force", str(folder), commit)
    if done.returncode:
        raise UnavailableError(
            f"No work tree at {commit[:12]}", reason_of(done.stderr), "Run git worktree prune"
        )
    try:
        yield folder / project.resolve().relative_to(top.resolve())
    finally:
        _git(project, "worktree", "remove", "--force", str(folder))
        _git(project, "worktree", "prune")  # also those of processes that were killed


def reason_of(stderr: str | bytes) -> str:
    """What git said of a failure, on one line and without its heading."""
    text = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr
    return " ".join(text.split()).removeprefix("fatal: ").removeprefix("error: ") or "git gives no reason"


def call(project: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run one git command in a project's folder; raises UnavailableError where git cannot be started."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # messages in English; objects as they are, not as git replace shows them; the index is not refreshed
    variables |= {"LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", *_PLAIN, "-C", str(project), *arguments]
    try:
        return subprocess.run(command, env=variables, capture_output=True, check=False)
    except FileNotFoundError:
        raise UnavailableError(
            "Git is not installed", "there is no program git on PATH", "Install git, or set PATH"
        ) from None
    except OSError as error:
        raise UnavailableError("Git cannot be started", error.strerror or str(error), "Check PATH") from None


def _git(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = call(project, *arguments)
    texts = (part.decode("utf-8", "surrogateescape") for part in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)


_ASKED = ("packages.yml", "dependencies.yml")
_LOCK = "package-lock.yml"


def of_version(project: Path, version: Path, folder: Path) -> Path:
    """A folder that belongs to a project, in the work tree of another version of it; elsewhere it is the same for both."""
    top, other = top_level(project), top_level(version)
    if top is None or other is None or not folder.resolve().is_relative_to(top):
        return folder.resolve()
    return other / folder.resolve().relative_to(top)


def install(project: Path, version: Path) -> None:
    """Give a version the dbt packages that it asks for: those of the project where both lock the same, else from ``dbt deps``.

    Raises:
        SlipwayError: they cannot be installed.
    """
    if version.resolve() == project.resolve():  # it is its owner's to install
        return
    there = version / _packages(version)
    if there.exists() or not any((version / name).is_file() for name in _ASKED):
        return
    here = project / _packages(project)
    if here.is_dir() and all(_text(project / name) == _text(version / name) for name in (*_ASKED, _LOCK)):
        there.symlink_to(here.resolve(), target_is_directory=True)
        return
    command = [sys.executable, "-m", "dbt.cli.main", "deps", "--project-dir", str(version), "--quiet"]
    done = subprocess.run(command, cwd=version, capture_output=True, text=True, check=False)
    if done.returncode:
        reason_of = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise SlipwayError(
            "The packages of that version cannot be installed", reason_of[-1].strip(), "Run dbt deps there"
        )


def _packages(project: Path) -> str:
    config = yaml.safe_load(_text(project / "dbt_project.yml")) or {}
    return str(config.get("packages-install-path") or "dbt_packages")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
