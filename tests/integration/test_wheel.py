"""The wheel has all that a project needs: the command, the dbt adapter, and the macros and hooks that it brings; an upgrade of a package is judged with it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.harness.projects import new_project

import slipway
from slipway.adoption.generated import example_files

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from {module} import {function}; sys.argv[0] = '{name}'; {function}()"
DBT = PROGRAM.format(module="dbt.cli.main", function="cli", name="dbt")
SLIPWAY = PROGRAM.format(module="slipway.cli.main", function="main", name="slipway")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools takes over what an earlier build has left in a folder."""
    copy, built = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "requirements.in", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in example_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    shutil.copytree(
        ROOT / "scripts",
        copy / "scripts",
        ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
        dirs_exist_ok=True,
    )
    pip("wheel", str(copy), "--no-build-isolation", "--wheel-dir", str(built))
    (found,) = built.iterdir()
    return found


def pip(command: str, *arguments: str) -> None:
    quiet = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", command, *quiet, *arguments], check=True)


def test_the_wheel_holds_the_package_and_the_adapter(wheel: Path) -> None:
    assert wheel.name == f"dbt_slipway-{slipway.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        commands = archive.read(f"dbt_slipway-{slipway.__version__}.dist-info/entry_points.txt").decode()
    wanted = {
        path.relative_to(ROOT / "scripts").as_posix()
        for folder in ("slipway", "dbt")
        for path in (ROOT / "scripts" / folder).rglob("*.*")
        if path.is_file() and path.suffix != ".pyc"
    }
    brought = {f"slipway/adoption/example/{name}" for name in example_files()}
    assert names == wanted | brought
    assert {"slipway/dbt/package/dbt_project.yml", "dbt/adapters/slipway/__init__.py"} < names
    assert "slipway = slipway.cli.main:main" in commands


@pytest.mark.long
def test_a_project_runs_with_the_wheel(wheel: Path, tmp_path: Path) -> None:
    installed, project, landing = tmp_path / "installed", tmp_path / "project", tmp_path / "landing"
    pip("install", "--target", str(installed), str(wheel))
    new_project(ROOT / "tests" / "cli" / "project", project)
    (landing / "parcels").mkdir(parents=True)
    day = "parcel,depot,weighed_on,kg\np1,N,2024-05-01,1.5\n"
    (landing / "parcels" / "day-1.csv").write_text(day, encoding="utf-8")
    environment = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(installed),
        "SLIPWAY_HOME": str(tmp_path / "home"),
        "SLIPWAY_LANDING": str(landing),
    }

    def run(program: str, *arguments: str, folder: Path = project) -> str:
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = "import slipway, dbt.adapters.slipway as a; print(slipway.__file__, a.__file__, a.Plugin.include_path)"
    assert [Path(path).is_relative_to(installed) for path in run(where).split()] == [True] * 3
    assert "dbt_slipway.on-run-end.0" in run(DBT, "build")
    run(SLIPWAY, "run", "--force")
    counted = run(SLIPWAY, "sql", "select count(*) as n from raw.parcels", "--output", "csv")
    assert counted.split() == ["n", "1"]

    del environment["SLIPWAY_HOME"], environment["SLIPWAY_LANDING"]
    run(SLIPWAY, "init", "new", folder=tmp_path)
    assert "Published release 1, 4 tables in dev." in run(SLIPWAY, "run", folder=tmp_path / "new")


EARLIER = "26.0.0"  # of pyarrow


@pytest.mark.long
def test_a_canary_judges_an_upgrade_of_a_package(
    wheel: Path, new_workshop: Callable[[Path], Workshop], tmp_path: Path
) -> None:
    """Base is built with the packages of its lock file, which are installed from the package index for it."""
    project = new_workshop(tmp_path / "project")
    now = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    now += f"dbt-slipway=={slipway.__version__} --hash=sha256:{digest(wheel)}\n"
    project.write("requirements.lock", with_earlier_pyarrow(now, tmp_path / "downloads"))
    project.commit()
    project.run()
    project.write("requirements.lock", now)
    project.edit("models/serving/depot_weights.sql", "sum(kg) as kg", "sum(kg) * 2 as kg")
    project.commit()
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.lower().endswith(("_proxy", "_cert_file", "ca_bundle"))
    }
    settings["PIP_FIND_LINKS"] = f"{settings.get('PIP_FIND_LINKS', '')} {wheel.parent}".strip()

    def canary(*arguments: str, code: int) -> str:
        command = ("canary", "--base", "HEAD~1", "--output", "json", *arguments)
        done = project.start(*command, **settings).wait(1800)
        assert done.code == code, done
        return done.out or done.err

    offline = {**settings, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}
    refused = project.refusal("canary", "--base", "HEAD~1", code=5, **offline)
    assert refused.startswith(
        "The environment of base cannot be made: pip cannot install its requirements.lock"
    )
    report = json.loads(canary(code=1))
    locked = re.search(r"^pyarrow==(\S+)", now, re.MULTILINE)
    assert locked is not None
    assert report["packages"] == [{"name": "pyarrow", "base": EARLIER, "head": locked[1]}]
    assert f"built with its own: pyarrow {EARLIER} → {locked[1]}." in report["remarks"][0]
    tables = {one["name"]: one for one in report["tables"]}
    assert {name: (one["verdict"], one["edited"]) for name, one in tables.items()} == {
        "curated.weights": ("identical", False),
        "quarantine.weights": ("identical", False),
        "reference.depots": ("identical", False),
        "serving.depot_weights": ("different", True),
    }
    # what two versions say of their own rows proves nothing: they were read
    assert {one["coverage"]["method"] for one in tables.values()} <= {"key", "multiset"}
    assert all(
        one["coverage"]["files"]["files_read"] == one["coverage"]["files"]["files"] for one in tables.values()
    )
    (made,) = (project.home / "environments").glob("*/bin/python")
    named = "from importlib.metadata import version; print(version('pyarrow'), version('dbt-slipway'))"
    done = subprocess.run([str(made), "-I", "-c", named], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [EARLIER, slipway.__version__]
    # it is kept, and nothing is installed again
    settings["PIP_NO_INDEX"] = "1"
    settings["PIP_FIND_LINKS"] = str(tmp_path)
    assert json.loads(canary("--select", "depots", code=0))["packages"] == report["packages"]


def with_earlier_pyarrow(lock: str, folder: Path) -> str:
    """A lock file with the earlier version, whose file for this interpreter the index has."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), f"pyarrow=={EARLIER}"], check=True)
    (found,) = folder.iterdir()
    line = f"pyarrow=={EARLIER} --hash=sha256:{digest(found)}\n"
    changed, count = re.subn(r"^pyarrow==.*\n(?:[ ].*\n)*", line, lock, flags=re.MULTILINE)
    assert count == 1
    return changed


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
