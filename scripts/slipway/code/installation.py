"""Where Python and installed packages keep their modules."""

from __future__ import annotations

import os
import site
import sysconfig
from functools import cache
from pathlib import Path


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
