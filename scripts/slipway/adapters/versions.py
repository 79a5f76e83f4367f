"""What a work tree of another version lacks, because git does not hold it: dbt packages, and profiles kept elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from slipway.adapters.git import top_level
from slipway.domain.errors import SlipwayError

_ASKED = ("packages.yml", "dependencies.yml")
_LOCK = "package-lock.yml"


def of_version(project: Path, version: Path, folder: Path) -> Path:
    """A folder that belongs to a project, in the work tree of another version of it; elsewhere it is the same for both.

    Args:
        project: folder of dbt_project.yml.
        version: the same in the work tree.
        folder: of profiles, for example.
    """
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
        told = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise SlipwayError(
            "the packages of that version cannot be installed", told[-1].strip(), "run dbt deps there"
        )


def _packages(project: Path) -> str:
    config = yaml.safe_load(_text(project / "dbt_project.yml")) or {}
    return str(config.get("packages-install-path") or "dbt_packages")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
