"""Virtual environments that hold what a lock file names, kept by its digest and the version of Python.

They are made as ``scripts/run`` makes ``.venv``: only wheels, each checked by its hash, so that nothing of a package is executed while it is
installed. A stamp is written at the end, so that an environment whose making was interrupted is never used.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from slipway.code.lock_files import LOCK
from slipway.errors import UnavailableError
from slipway.secrets import hide, one_line

_FOLDER, _STAMP = "environments", "slipway-environment"
_DIGITS = 16  # of the digest, in the name of the folder
_UNUSED = 30 * 24 * 3600  # seconds after which an environment that nobody used is removed
_OF_OTHERS = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV")
"""Settings that would have pip install somewhere else, or import something else."""


def locked_interpreter(lock: bytes, of: str, home: Path, tell: Callable[[str], None]) -> Path:
    """The interpreter of an environment with the packages of a lock file, which is made if there is none.

    Args:
        lock: content of the file.
        of: whose file it is, for messages.
        home: folder below which environments are kept.
        tell: gets lines for the person who waits.

    Raises:
        UnavailableError: the packages cannot be installed, or Python cannot make virtual environments.
    """
    digest = hashlib.sha256(lock).hexdigest()
    place = home.resolve() / _FOLDER / f"{digest[:_DIGITS]}-{platform.python_version()}"
    place.parent.mkdir(parents=True, exist_ok=True)
    stamp, python = place / _STAMP, place / "bin" / "python"
    wanted = "\n".join((digest, str(place), sys.version, str(Path(sys.executable).resolve())))
    with _locked(place, of, tell):
        if _text(stamp) != wanted or not python.exists():
            tell(f"making the environment of {of} from its {LOCK}, once; this takes some minutes")
            _remove_unused(place)
            _make(place, python, lock, of)
            stamp.write_text(wanted, encoding="utf-8")
        os.utime(stamp)
    return python


def _make(place: Path, python: Path, lock: bytes, of: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if name not in _OF_OTHERS}
    # the running environment's pip installs into another one at once; to give that a pip of its own takes longer than anything else
    has_pip = find_spec("pip") is not None
    _carried_out(
        [sys.executable, "-I", "-m", "venv", *["--without-pip"] * has_pip, str(place)],
        environment,
        of,
        "Python cannot make a virtual environment",
        "Install Python's venv module (Debian and Ubuntu: python3-venv)",
    )
    path = place / LOCK
    path.write_bytes(lock)
    pip = [sys.executable, "-I", "-m", "pip", "--python", str(python)]
    pip = [
        *(pip if has_pip else [str(python), "-I", "-m", "pip"]),
        "--disable-pip-version-check",
        "--no-input",
    ]
    _carried_out(
        [
            *pip,
            "--quiet",
            "install",
            "--no-deps",
            "--no-compile",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            str(path),
        ],
        environment,
        of,
        f"pip cannot install its {LOCK}",
        f"Run it where the package index can be reached, or name a base whose {LOCK} is that of the work tree",
    )
    # on all cores; a package without bytecode works, too
    compiled = [str(python), "-I", "-m", "compileall", "-q", "-j", "0", "-x", "/tests?/", str(place / "lib")]
    subprocess.run(compiled, env=environment, capture_output=True, check=False)


def _carried_out(command: list[str], environment: dict[str, str], of: str, what: str, fix: str) -> None:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        ended = f"it ended with code {done.returncode} and no message"
        printed = f"{done.stdout}\n{done.stderr}".strip() or ended if done.returncode else ""
    except OSError as error:
        printed = error.strerror or str(error)
    if printed:
        raise UnavailableError(f"The environment of {of} cannot be made", f"{what}: {_reason(printed)}", fix)


def _reason(printed: str) -> str:
    """What a program says last of its failure, without its heading; addresses may hold secrets."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return one_line(hide((errors or lines)[-1]))[:300]


def _remove_unused(keep: Path) -> None:
    """Remove environments that nobody has used for a month."""
    for stamp in keep.parent.glob(f"*/{_STAMP}"):
        with suppress(OSError):
            if stamp.parent != keep and time.time() - stamp.stat().st_mtime > _UNUSED:
                shutil.rmtree(stamp.parent, ignore_errors=True)


@contextmanager
def _locked(place: Path, of: str, tell: Callable[[str], None]) -> Iterator[None]:
    """One process makes an environment, and others wait for it; the lock goes with the process."""
    with place.with_name(f"{place.name}.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"another process makes the environment of {of}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
