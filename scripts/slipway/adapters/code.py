"""The code and the software a run is made with."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import socket
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from slipway import __version__
from slipway.domain.manifest import Code, Versions

_CODE_PATHS = {
    "model-paths": "models",
    "macro-paths": "macros",
    "snapshot-paths": "snapshots",
    "test-paths": "tests",
}


def code_of(project: Path) -> Code:
    """Commit and state of the project's work tree; no commit where there is no repository."""
    commit = _git(project, "rev-parse", "HEAD")
    if commit is None:
        return Code(commit=None, dirty=True)
    # whatever the user's git shows by itself; a status that cannot be told is not clean
    status = _git(project, "status", "--porcelain", "--untracked-files=normal")
    return Code(
        commit=commit,
        dirty=status != "" or bool(ignored_code(project)),
        branch=_git(project, "symbolic-ref", "--quiet", "--short", "HEAD"),
    )


def ignored_code(project: Path) -> list[str]:
    """Code that dbt reads and git is told to ignore, so that no commit holds it."""
    with suppress(OSError, yaml.YAMLError):
        config = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8")) or {}
        folders = [folder for key, usual in _CODE_PATHS.items() for folder in config.get(key) or [usual]]
        listed = _git(
            project, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *folders
        )
        return [
            name for name in (listed or "").split("\0") if name.endswith((".sql", ".py", ".yml", ".yaml"))
        ]
    return []


def versions_of(project: Path) -> Versions:
    """Versions of what shapes a result, and the digest of the lock file."""
    lock = project / "requirements.lock"
    return Versions(
        slipway=__version__,
        python=platform.python_version(),
        dbt=_version("dbt-core"),
        dbt_duckdb=_version("dbt-duckdb"),
        duckdb=_version("duckdb"),
        pyiceberg=_version("pyiceberg"),
        pyarrow=_version("pyarrow"),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        image_digest=os.environ.get("SLIPWAY_IMAGE_DIGEST"),
    )


def who() -> str:
    """The user that runs this, or the CI job's actor."""
    try:
        return os.environ.get("GITHUB_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for the user
        return f"uid {os.getuid()}"


def host() -> str:
    """The machine's name."""
    return socket.gethostname()


def _git(project: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
