"""scripts/run makes and keeps the environment; tried on a project of the same shape with one small dependency.

The scripts are the real ones, copied into the small project, and so are venv, pip and the console script. Only the
dependency is made up, so that no test waits for a download.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

# Stands for setuptools: makes the wheel that an editable install asks for, with the console script in it.
BACKEND = """
import base64, hashlib, pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    files = {
        "small_project.pth": str(pathlib.Path("scripts").resolve()) + "\\n",
        "slipway-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: slipway\\nVersion: 1\\n",
        "slipway-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "slipway-1.dist-info/entry_points.txt": "[console_scripts]\\nslipway = slipway.main:main\\n",
    }
    record = "".join(f"{name},,\\n" for name in files)
    with zipfile.ZipFile(pathlib.Path(wheel_directory, "slipway-1-py3-none-any.whl"), "w") as wheel:
        for name, text in {**files, "slipway-1.dist-info/RECORD": record}.items():
            wheel.writestr(name, text)
    return "slipway-1-py3-none-any.whl"
"""
COMMAND = """
import json, os, sys
import dependency

def main():
    print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "dependency": dependency.__file__}))
"""


def make_wheel(folder: Path) -> str:
    """Writes the wheel of `dependency` 1.0 and returns its sha256."""
    folder.mkdir()
    path = folder / "dependency-1.0-py3-none-any.whl"
    files = {
        "dependency.py": "VALUE = 1\n",
        "dependency-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: dependency\nVersion: 1.0\n",
        "dependency-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        record = ""
        for name, text in files.items():
            wheel.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
        wheel.writestr("dependency-1.0.dist-info/RECORD", record + "dependency-1.0.dist-info/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Project:
    """A checkout of the small project, in a folder whose name has a space."""

    def __init__(self, folder: Path) -> None:
        self.wheels = folder / "wheels"
        self.root = folder / "a clone"
        self.lock = f"dependency==1.0 --hash=sha256:{make_wheel(self.wheels)}\n"
        scripts = self.root / "scripts"
        (scripts / "slipway").mkdir(parents=True)
        for name in ("scripts/run", "scripts/_environment.sh", ".gitignore"):
            shutil.copy(ROOT / name, self.root / name)
        (scripts / "slipway" / "__init__.py").touch()
        (scripts / "slipway" / "main.py").write_text(COMMAND)
        (self.root / "backend.py").write_text(BACKEND)
        (self.root / "requirements.in").write_text("dependency\n")
        (self.root / "requirements.lock").write_text(self.lock)
        (self.root / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "SLIPWAY_"))
        }
        return {
            **kept,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SLIPWAY_PYTHON": sys.executable,
            **changes,
        }

    def start(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "scripts" / "run", *arguments],
            env=self.environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *arguments: str, command: Path | None = None, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command or self.root / "scripts" / "run", *arguments],
            check=False,
            cwd="/",
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def answer(self, *arguments: str, command: Path | None = None) -> dict[str, Any]:
        done = self.run(*arguments, command=command)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose environment is set up; tests that share it must leave it so."""
    project = Project(tmp_path_factory.mktemp("ready"))
    done = project.run()
    assert done.returncode == 0, done.stderr
    assert "Setting up .venv" in done.stderr
    return project


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_arguments_reach_slipway_run_in_the_project_root(ready: Project) -> None:
    answer = ready.answer("--vars", "{a: b}", "")
    assert answer["arguments"] == ["run", "--vars", "{a: b}", ""]
    assert answer["folder"] == str(ready.root)


def test_works_through_a_symbolic_link(ready: Project, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(ready.root / "scripts" / "run")
    second = tmp_path / "second"
    second.symlink_to("link")
    assert ready.answer(command=second)["folder"] == str(ready.root)


def test_a_later_start_does_nothing_before_python(ready: Project) -> None:
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        done = ready.run()
        seconds.append(time.perf_counter() - begin)
        assert done.stderr == ""
    assert min(seconds) < 0.5


def test_another_environments_settings_do_not_matter(ready: Project, tmp_path: Path) -> None:
    (tmp_path / "dependency.py").write_text("raise SystemExit('wrong module')")
    done = ready.run(PYTHONPATH=str(tmp_path), PIP_USER="1")
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["dependency"]).is_relative_to(ready.root / ".venv")


def test_bytecode_is_there_although_python_may_not_write_it(ready: Project) -> None:
    assert [*ready.root.glob(".venv/lib/python*/site-packages/__pycache__/dependency.*.pyc")]
    assert [*ready.root.glob("scripts/slipway/__pycache__/main.*.pyc")]


def test_the_checkout_stays_clean(ready: Project) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=ready.root, check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    ready.answer()
    assert git("status", "--porcelain") == ""
    assert not re.search(r"\.venv|pycache|egg-info", git("ls-files"))


def test_changed_metadata_is_installed_again_without_the_dependencies(ready: Project) -> None:
    with (ready.root / "pyproject.toml").open("a") as pyproject:
        pyproject.write("# changed\n")
    done = ready.run()
    assert done.returncode == 0, done.stderr
    assert "Setting up" not in done.stderr
    assert "is ready" in done.stderr


@pytest.mark.long
def test_a_moved_checkout_gets_a_new_environment(fresh: Project) -> None:
    fresh.answer()
    fresh.root = fresh.root.rename(fresh.root.with_name("moved to"))
    done = fresh.run()
    assert done.returncode == 0, done.stderr
    assert "Setting up .venv" in done.stderr
    assert Path(json.loads(done.stdout)["dependency"]).is_relative_to(fresh.root)


@pytest.mark.long
def test_two_first_starts_at_once_set_up_once(fresh: Project) -> None:
    starts = [fresh.start(), fresh.start()]
    ends = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], ends
    assert sum("Setting up .venv" in stderr for _, stderr in ends) == 1
    assert len({stdout for stdout, _ in ends}) == 1


@pytest.mark.long
def test_a_killed_set_up_is_begun_again(fresh: Project) -> None:
    start = fresh.start()
    deadline = time.monotonic() + 60
    while not (fresh.root / ".venv" / "pyvenv.cfg").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(start.pid, signal.SIGKILL)
    start.communicate()
    assert not [*fresh.root.glob(".venv/.slipway-*")]
    assert fresh.answer()["arguments"] == ["run"]


@pytest.mark.long
def test_a_wrong_hash_is_refused_and_never_taken_for_done(fresh: Project) -> None:
    (fresh.root / "requirements.lock").write_text("dependency==1.0 --hash=sha256:" + "0" * 64 + "\n")
    done = fresh.run()
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("run: could not install requirements.lock: ")
    assert not [*fresh.root.glob(".venv/.slipway-*")]
    (fresh.root / "requirements.lock").write_text(fresh.lock)
    assert fresh.answer()["arguments"] == ["run"]


def test_an_environment_behind_a_link_is_not_touched(fresh: Project, tmp_path: Path) -> None:
    others = tmp_path / "another checkout's"
    others.mkdir()
    (others / "pyvenv.cfg").write_text("home = /usr/bin", encoding="utf-8")
    (fresh.root / ".venv").symlink_to(others)
    done = fresh.run()
    assert done.returncode == 1
    assert done.stderr == (
        f"run: .venv is a link to {others}, which was not made here and would be emptied: remove the link\n"
    )
    assert (others / "pyvenv.cfg").exists()


def test_a_folder_that_is_no_environment_is_not_touched(fresh: Project) -> None:
    precious = fresh.root / ".venv" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    done = fresh.run()
    assert done.returncode == 1
    assert done.stderr == "run: .venv is not a virtual environment and would be overwritten: move it away\n"
    assert precious.read_text() == "years of work"


def test_an_old_python_is_named_in_one_line(fresh: Project, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "cat", "cksum", "dirname", "readlink"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    old = tools / "python3"
    old.write_text(
        dedent("""\
        #!/usr/bin/env bash
        case $* in *sys.exit*) exit 1 ;; esac
        echo 3.9.2
        """)
    )
    old.chmod(0o755)
    done = fresh.run(PATH=str(tools), SLIPWAY_PYTHON="")
    assert done.returncode == 1
    assert done.stderr == (
        "run: needs Python 3.11, 3.12 or 3.13 with the venv module, found python3 (3.9.2); install one"
        " (Debian and Ubuntu: python3 python3-venv) or name it in SLIPWAY_PYTHON\n"
    )
    assert not (fresh.root / ".venv").exists()


def test_test_explains_itself_without_setting_anything_up() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "test", "--help"], capture_output=True, text=True, check=True, timeout=20
    )
    assert "scripts/test [--fast | --long | --spark] [pytest arguments]" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["scripts/run", "scripts/test", ".ci/run"])
def test_commands_can_be_executed(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


def locked(name: str) -> dict[str, set[str]]:
    """Per pinned requirement of a lock file, with its marker, the hashes it accepts."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    return {
        line.partition("--hash")[0].strip(): set(re.findall(r"sha256:\w{64}", line)) for line in requirements
    }


def test_both_locks_agree_and_every_file_has_a_hash() -> None:
    runtime, development = locked("requirements.lock"), locked("requirements-dev.lock")
    # where something is needed may be wider for development: on PyPy too, for example
    everywhere = {name.partition(" ;")[0]: sums for name, sums in development.items()}
    wanted = {name.partition(" ;")[0]: sums for name, sums in runtime.items()}
    assert {name: everywhere.get(name) for name in wanted} == wanted
    assert all(re.match(r"[\w.\[\]-]+==[\w.+]+( ;.*)?$", name) for name in development)
    assert all(development.values())


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_a_lock_holds_what_was_asked_for(name: str) -> None:
    asked = re.findall(r"^([A-Za-z][\w.-]*)", (ROOT / f"{name}.in").read_text(encoding="utf-8"), re.MULTILINE)
    names = {requirement.partition("==")[0] for requirement in locked(f"{name}.lock")}
    assert asked
    assert {package.lower().replace("_", "-") for package in asked} <= names


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    mine = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *mine, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A repository whose second commit brings the hook along; its first is like those of other people."""
    folder = tmp_path / "repository"
    (folder / "scripts" / "hooks").mkdir(parents=True)
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Whatever was there before")
    shutil.copy2(ROOT / "scripts" / "hooks" / "commit-msg", folder / "scripts" / "hooks")
    git(folder, "add", ".")
    assert git(folder, "commit", "--quiet", "--message", "ci: check subjects of commits").returncode == 0
    return folder


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        pytest.param("Refuse an empty key", "begin with a prefix", id="no-prefix"),
        pytest.param("fix refuse an empty key", "begin with a prefix", id="no-colon"),
        pytest.param("fix: Refuse an empty key", "a small letter", id="capital"),
        pytest.param("fix: refused an empty key", "imperative", id="past"),
        pytest.param("fix: refusing an empty key", "imperative", id="gerund"),
        pytest.param("fix: refuse " + 61 * "x", "73 characters", id="long"),
    ],
)
def test_a_subject_of_another_kind_is_refused(history: Path, subject: str, why: str) -> None:
    git(history, "config", "core.hooksPath", "scripts/hooks")
    refused = git(history, "commit", "--allow-empty", "--message", subject)
    assert refused.returncode == 1
    assert why in refused.stderr
    git(history, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", subject)
    late = subprocess.run(
        ["scripts/hooks/commit-msg", "--all"], cwd=history, capture_output=True, text=True, check=False
    )
    assert late.returncode == 1
    assert late.stderr.count("commit-msg:") == 1
    assert why in late.stderr


def test_usual_subjects_pass(history: Path) -> None:
    git(history, "config", "core.hooksPath", "scripts/hooks")
    for subject in (
        "fix(landing)!: refuse " + 50 * "x",
        "feat: embed the plot",
        'Revert "fix: refuse"',
        "fixup! fix: a",
    ):
        assert git(history, "commit", "--quiet", "--allow-empty", "--message", subject).returncode == 0, (
            subject
        )
    assert subprocess.run(["scripts/hooks/commit-msg", "--all"], cwd=history, check=False).returncode == 0
