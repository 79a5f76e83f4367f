"""The code and the software a run is made with, and digests of both.

Digests are of contents and names, never of times: what is the same for them is the same for a run.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import site
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from slipway import __version__
from slipway.code.git import Commit, Finding, commit_of, digest_of_folder, files_below, status
from slipway.errors import NotFoundError, SlipwayError, UnavailableError
from slipway.records.run_manifest import Code, Versions
from slipway.settings import Settings

# dbt's own defaults (dbt_project.yml reference), and where slipway's contracts are
_FOLDERS = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "snapshot-paths": ["snapshots"],
    "test-paths": ["tests"],
    "analysis-paths": ["analyses"],
    "macro-paths": ["macros"],
    "function-paths": ["functions"],
    "docs-paths": [],
    "asset-paths": [],
}
_CONTRACTS = "contracts"
_ASKED = ("packages.yml", "dependencies.yml")
_LOCK = "package-lock.yml"
_FILES = (
    "dbt_project.yml",
    "profiles.yml",
    *_ASKED,
    _LOCK,
    "selectors.yml",
    ".dbtignore",
    "requirements.lock",
)
PINNED = "package_digests"
"""The variable of dbt_project.yml that says which content of installed packages is meant."""
_SHOWN = 20


def code_of(project: Path, read: Iterable[Path] = ()) -> Code:
    """Commit and state of the project's code: every file that dbt and slipway read, and further ones that were, against what the commit holds."""
    packages = _packages(project)
    try:
        commit = commit_of(project)
        findings = dict(_findings(commit, project.resolve(), packages, read))
        findings |= {name: why for name, why in status(project) if name not in findings}
    except (NotFoundError, UnavailableError) as error:
        why = ": ".join(part for part in (error.what, error.why) if part)
        return Code(
            commit=None, dirty=True, problem=f"{why[0].lower()}{why[1:]}", packages=_digests(packages)
        )
    installed = {name: folder for name, folder in packages.items() if not commit.holds_any(folder)}
    digests = _digests(installed)
    variables = _project(project).get("vars")
    pinned = (variables.get(PINNED) if isinstance(variables, dict) else None) or {}
    return Code(
        commit=commit.id,
        dirty=bool(findings),
        branch=commit.branch,
        uncommitted=[f"{name}: {why}" for name, why in sorted(findings.items())[:_SHOWN]],
        packages=digests,
        unpinned=[name for name, digest in digests.items() if pinned.get(name) != digest],
        profiles_sha256=_profiles_outside(commit.top),
    )


def files_of(project: Path) -> list[Path]:
    """Files of a project that dbt and slipway may read: by name, below the folders of dbt_project.yml, and of dbt packages.

    Raises:
        NotFoundError: a folder's name is an expression, so that it is not known which it is.
    """
    described = _project(project)
    for key in _FOLDERS:
        given = described.get(key)
        if "{{" in str(given):
            raise NotFoundError(f"folders of {key}", "their names are expressions")
    packages = _packages(project)
    return [*_read_by_name(project), *packages_files(packages, ())]


def settled(begun: Code, now: Code, changed: Iterable[Finding]) -> Code:
    """The code of a run that is over: that of a commit only if it was from beginning to end, and no file was ``changed`` since it was read."""
    findings = [*now.uncommitted, *(f"{name}: {why}" for name, why in changed)]
    if now.commit != begun.commit:
        findings.append(f"HEAD: another commit than when the run began ({(now.commit or 'none')[:12]})")
    known = dict.fromkeys([*begun.uncommitted, *findings])
    unpinned = dict.fromkeys([*begun.unpinned, *now.unpinned])
    unpinned |= {name: None for name in now.packages if begun.packages.get(name) != now.packages[name]}
    return begun.model_copy(
        update={
            "dirty": begun.dirty or now.dirty or bool(findings),
            "uncommitted": list(known)[:_SHOWN],
            "packages": {**begun.packages, **now.packages},
            "unpinned": list(unpinned),
        }
    )


def _findings(
    commit: Commit, project: Path, packages: Mapping[str, Path], read: Iterable[Path]
) -> Iterator[Finding]:
    yield from commit.changed(project)
    installed = [folder for folder in packages.values() if not commit.holds_any(folder)]
    outside, links = _profiles_file(), _links_of_packages(project)
    paths = (_followed(path, links) for path in read)
    for path in dict.fromkeys([*_read_by_name(project), *packages_files(packages, installed), *paths]):
        if any(path.is_relative_to(folder) for folder in installed):
            continue  # known by their digest
        if path == outside and not path.is_relative_to(commit.top):
            continue
        if found := commit.finding(path):
            yield found


def packages_files(packages: Mapping[str, Path], installed: Iterable[Path]) -> Iterator[Path]:
    """Files of packages that are in the repository."""
    known = set(installed)
    yield from files_below(folder for folder in packages.values() if folder not in known)


def _read_by_name(project: Path) -> Iterator[Path]:
    """Files that dbt and slipway look for in a project, those of them that are there."""
    described = _project(project)
    folders = {_CONTRACTS}
    for key, usual in _FOLDERS.items():
        given = described.get(key)
        folders |= {
            str(name) for name in (given if isinstance(given, list) else usual) if "{{" not in str(name)
        }
    places = [
        *(project / name for name in _FILES),
        *(Path(os.path.normpath(project / name)) for name in folders),
    ]
    if profiles := _profiles_file():
        places.append(profiles)
    yield from files_below(place for place in places if place.exists() or place.is_symlink())


def _profiles_file() -> Path | None:
    folder = os.environ.get("DBT_PROFILES_DIR")
    return Path(folder).resolve() / "profiles.yml" if folder else None


def _profiles_outside(top: Path) -> str | None:
    path = _profiles_file()
    if path is None or path.is_relative_to(top) or not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _packages(project: Path) -> dict[str, Path]:
    """Folders of the dbt packages that are installed, by name; those that are links, at the place they lead to."""
    try:
        return {
            entry.name: entry.resolve()
            for entry in sorted(_install_path(project).iterdir())
            if entry.is_dir()
        }
    except OSError:
        return {}


def _install_path(project: Path) -> Path:
    return project / str(_project(project).get("packages-install-path") or "dbt_packages")


def _links_of_packages(project: Path) -> dict[Path, Path]:
    """Links that ``dbt deps`` made for local packages, and their folders: no commit holds a link, but packages.yml says where it leads."""
    local = set()
    for name in _ASKED:
        listed = _yaml(project / name).get("packages")
        for item in listed if isinstance(listed, list) else []:
            if isinstance(item, dict) and isinstance(item.get("local"), str):
                local.add((project / item["local"]).resolve())
    folder = _install_path(project)
    return {
        folder / name: place
        for name, place in _packages(project).items()
        if place in local and (folder / name).is_symlink()
    }


def _followed(path: Path, links: Mapping[Path, Path]) -> Path:
    return next((links[link] / path.relative_to(link) for link in links if path.is_relative_to(link)), path)


def _digests(packages: Mapping[str, Path]) -> dict[str, str]:
    return {name: digest_of_folder(folder) for name, folder in packages.items()}


def _project(project: Path) -> dict[str, Any]:
    return _yaml(project / "dbt_project.yml")


def _yaml(path: Path) -> dict[str, Any]:
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        described = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)  # as dbt reads it
        return described if isinstance(described, dict) else {}
    return {}


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
        image_digest=Settings.read().image_digest,
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


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


_PACKAGE = Path(__file__).parents[1]
_OF_PACKAGES = (".dist-info", ".egg-info", ".pth")
_MOST = 20_000  # files; more are not the modules of one project


def digest_of_code(project: Path) -> str:
    """A digest of the project's files, of installed dbt packages, and of every module that Python can import, other than software.

    Raises:
        NotFoundError: it is not known which files those are.
    """
    return _digest(dict.fromkeys([*files_of(project), *_modules()]), project)


def digest_of_software() -> str:
    """A digest of Python, of the names and versions of installed packages, and of slipway's own files."""
    found = [platform.python_version(), sys.prefix, *sys.path]
    for place in sys.path:
        if Path(place).is_dir():
            found += sorted(entry.name for entry in Path(place).iterdir() if entry.suffix in _OF_PACKAGES)
    own = _digest(files_below(_own_folders()), _PACKAGE)
    return hashlib.sha256("\0".join([*found, own]).encode("utf-8", "surrogateescape")).hexdigest()


def _own_folders() -> list[Path]:
    return [_PACKAGE, _PACKAGE.parent / "dbt" / "adapters" / "slipway"]


def covers(project: Path, files: Iterable[Path]) -> Path | None:
    """The first of some files that ``digest_of_code`` leaves out, None when it leaves out none."""
    known = {path.resolve() for path in [*files_of(project), *_modules()]}
    return next((path for path in files if path.resolve() not in known), None)


def _modules() -> Iterator[Path]:
    """Python files below the folders of the path that are neither Python's own nor slipway's or those of installed packages."""
    count, own = 0, _own_folders()
    for place in dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path):
        if is_installed(Path(place) / "x") or not Path(place).is_dir():
            continue
        for folder, folders, names in os.walk(place):
            if "pyvenv.cfg" in names:
                folders.clear()
                continue
            folders[:] = [
                name
                for name in folders
                if name.isidentifier() and name != "__pycache__" and Path(folder, name) not in own
            ]
            linked = next((name for name in folders if Path(folder, name).is_symlink()), None)
            count += len(names)
            if linked or count > _MOST:
                raise NotFoundError(f"modules below {place}", "they are too many, or folders are links")
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _digest(paths: Iterable[Path], base: Path) -> str:
    found = hashlib.sha256()
    for name, path in sorted((os.path.relpath(path, base), path) for path in paths):
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            if path.exists():
                raise
            content = "a link to nothing"
        found.update(f"{name}\0{content}\0".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def is_installed(path: Path) -> bool:
    """Whether a file is of Python itself or of an installed package."""
    return str(path).startswith(installation()) or str(path.resolve()).startswith(installation())


@cache
def installation() -> tuple[str, ...]:
    """Folders of Python's own modules and of packages that are installed, as they are named and without links.

    The folder of a program that pip installed is the first on Python's path, and some packages keep modules there.
    """
    paths = sysconfig.get_paths()
    named = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
    found = [Path(name) for name in (*named, *site.getsitepackages(), site.getusersitepackages())]
    return tuple(dict.fromkeys(f"{place}{os.sep}" for path in found for place in (path, path.resolve())))


def install(project: Path, version: Path, python: str = sys.executable) -> None:
    """Give a version the dbt packages that it asks for: those of the project where both lock the same, else from ``dbt deps``.

    Args:
        project: folder of dbt_project.yml.
        version: that of the version.
        python: the interpreter that has the version's dbt.

    Raises:
        SlipwayError: they cannot be installed.
    """
    if version.resolve() == project.resolve():  # it is its owner's to install
        return
    there = _install_path(version)
    if there.exists() or not any((version / name).is_file() for name in _ASKED):
        return
    here = _install_path(project)
    if here.is_dir() and all(_text(project / name) == _text(version / name) for name in (*_ASKED, _LOCK)):
        there.symlink_to(here.resolve(), target_is_directory=True)
        return
    command = [python, "-m", "dbt.cli.main", "deps", "--project-dir", str(version), "--quiet"]
    done = subprocess.run(command, cwd=version, capture_output=True, text=True, check=False)
    if done.returncode:
        reason_of = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise SlipwayError(
            "The packages of that version cannot be installed", reason_of[-1].strip(), "Run dbt deps there"
        )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
