"""An environment holds what its lock file names, is made once, and is never used half made."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from slipway.code import locked_environments as module
from slipway.code.locked_environments import locked_interpreter
from slipway.errors import UnavailableError


def wheel(folder: Path, version: str) -> str:
    """Make a wheel of a package with one module; returns its line in a lock file."""
    folder.mkdir(exist_ok=True)
    path, about = folder / f"tiny-{version}-py3-none-any.whl", f"tiny-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{about}/RECORD", f"tiny.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n"
        )
    return f"tiny=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place from which pip can install."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


def imported(python: Path) -> str:
    command = [str(python), "-I", "-c", "import tiny; print(tiny.VERSION)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
def test_an_environment_is_made_once_and_again_after_an_interruption(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    lock = wheel(wheels, "1.0").encode()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    python = locked_interpreter(lock, "base", tmp_path / "home", said.append)
    assert imported(python) == "1.0"
    assert [line for line in said if "making the environment of base" in line] == said
    (wheels / "tiny-1.0-py3-none-any.whl").unlink()
    assert locked_interpreter(lock, "base", tmp_path / "home", said.append) == python
    assert len(said) == 1  # it is kept: nothing could be installed now
    (python.parents[1] / "slipway-environment").unlink()  # as if its making had been interrupted
    with pytest.raises(UnavailableError, match="The environment of base cannot be made: pip cannot install"):
        locked_interpreter(lock, "base", tmp_path / "home", said.append)


@pytest.mark.long
def test_other_files_than_those_of_the_hashes_are_refused(wheels: Path, tmp_path: Path) -> None:
    lock = wheel(wheels, "1.0")
    digest = lock.rpartition(":")[2].strip()
    changed = lock.replace(digest, "0" * 64).encode()
    with pytest.raises(UnavailableError, match=r"pip cannot install its requirements\.lock: .*hash"):
        locked_interpreter(changed, "head", tmp_path / "home", print)
    assert not list((tmp_path / "home" / "environments").glob("*/slipway-environment"))


@pytest.mark.long
def test_each_lock_file_has_an_environment_and_unused_ones_go(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "find_spec", lambda _: None
    )  # as where uv has made the running environment, without pip
    first, second = (wheel(wheels, version).encode() for version in ("1.0", "2.0"))
    one = locked_interpreter(first, "base", tmp_path / "home", print)
    stamp = one.parents[1] / "slipway-environment"
    os.utime(stamp, (0, 0))
    other = locked_interpreter(second, "head", tmp_path / "home", print)
    assert imported(other) == "2.0"
    assert not one.exists()


def test_a_python_that_makes_no_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho No module named ensurepip >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    why = "Python cannot make a virtual environment: No module named ensurepip. Install Python's venv module"
    with pytest.raises(UnavailableError, match=why):
        locked_interpreter(b"", "base", tmp_path / "home", print)
