"""One digest of everything that dbt and slipway read of a project, and one of the software that reads it.

Both are of contents and names, never of times: what is the same for them is the same for a run.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from slipway.code.commits import files_below
from slipway.code.installation import is_installed
from slipway.code.versions import files_of
from slipway.errors import NotFoundError

_PACKAGE = Path(__file__).parents[1]
_OF_PACKAGES = (".dist-info", ".egg-info", ".pth")
_MOST = 20_000  # files; more are not the modules of one project


def digest_of_code(project: Path) -> str:
    """A digest of the project's files, of installed dbt packages, and of every module that Python can import, other than installed packages.

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
    own = _digest(files_below([_PACKAGE, _PACKAGE.parent / "dbt" / "adapters" / "slipway"]), _PACKAGE)
    return hashlib.sha256("\0".join([*found, own]).encode("utf-8", "surrogateescape")).hexdigest()


def covers(project: Path, files: Iterable[Path]) -> Path | None:
    """The first of some files that ``digest_of_code`` leaves out, None when it leaves out none."""
    known = {path.resolve() for path in [*files_of(project), *_modules()]}
    return next((path for path in files if path.resolve() not in known), None)


def _modules() -> Iterator[Path]:
    """Python files below the folders of the path that are neither Python's own nor those of installed packages."""
    count = 0
    for place in dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path):
        if is_installed(Path(place) / "x") or not Path(place).is_dir():
            continue
        for folder, folders, names in os.walk(place):
            if "pyvenv.cfg" in names:
                folders.clear()
                continue
            folders[:] = [name for name in folders if name.isidentifier() and name != "__pycache__"]
            linked = next((name for name in folders if Path(folder, name).is_symlink()), None)
            count += len(names)
            if linked or count > _MOST:
                raise NotFoundError(f"modules below {place}", "they are too many, or folders are links")
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _digest(paths: Iterable[Path], base: Path) -> str:
    found = hashlib.sha256()
    for name, path in sorted((os.path.relpath(path, base), path) for path in paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "a link to nothing"
        found.update(f"{name}\0{content}\0".encode("utf-8", "surrogateescape"))
    return found.hexdigest()
