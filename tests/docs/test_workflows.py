"""GitHub's workflows: nothing runs that is not pinned, nothing has more rights than it says why, and their scripts are commands that exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.harness.commands import ROOT

from slipway.cli.main import LazyGroup

FOLDER = ROOT / ".github/workflows"
TEMPLATES = ROOT / "scripts/slipway/adoption/templates/project"
WORKFLOWS = sorted([*FOLDER.glob("*.yml"), *TEMPLATES.glob("*workflow.yml")])
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


class Step(NamedTuple):
    """A script of a job, with the variables that it is given."""

    workflow: str
    job: str
    name: str
    script: str
    variables: dict[str, str]


def read(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8").replace("<< target >>", "dev"))
    return found


def scripts() -> Iterator[Step]:
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            for step in job["steps"]:
                if "run" in step:
                    title = step.get("name", step["run"])
                    given = {**job.get("env", {}), **step.get("env", {})}
                    yield Step(
                        path.name, name, title, step["run"], {key: str(value) for key, value in given.items()}
                    )


def of_gitlab() -> Iterator[Step]:
    """The scripts of the example for GitLab."""
    page = (ROOT / "docs/how-to/check-pull-requests.md").read_text(encoding="utf-8")
    found = re.search(r"^```yaml\n(slipway:\n.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    job = yaml.safe_load(found[1])["slipway"]
    given = {name: str(value) for name, value in job["variables"].items()}
    given["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = "main"
    for name in ("script", "after_script"):
        yield Step("gitlab", "slipway", name, "\n".join(job[name]), given)


def ids(value: object) -> str:
    return value.name if isinstance(value, Path) else ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=ids)
def test_what_it_uses_is_pinned_and_what_it_may_is_little(path: Path) -> None:
    text, workflow = path.read_text(encoding="utf-8"), read(path)
    used = [line.partition("uses: ")[2].strip() for line in text.splitlines() if "uses: " in line]
    assert [one for one in used if not PINNED.fullmatch(one)] == []
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert "concurrency" in workflow
    # each right beyond reading the code has its reason next to it
    for line in text.splitlines():
        if re.fullmatch(r"\s+[\w-]+: write( .*)?", line) and "pages: write" not in line:
            assert " # " in line, line
    for job in workflow["jobs"].values():
        for step in job.get("steps", ()):
            # what GitHub puts into a script by an expression would be read as a part of the script
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=ids)
def test_the_code_of_a_pull_request_gets_no_token_that_writes(path: Path) -> None:
    workflow = read(path)
    events = workflow[True]  # YAML 1.1 reads the key `on` as true
    assert "pull_request_target" not in events
    rights = {
        name
        for job in workflow["jobs"].values()
        for name, may in job.get("permissions", {}).items()
        if may == "write"
    }
    if "pull_request" in events:
        assert rights <= {"id-token"}
        assert "github.token" not in path.read_text(encoding="utf-8")
    if "workflow_run" in events:
        (job,) = workflow["jobs"].values()
        (checkout,) = (step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
        assert "ref" not in checkout["with"]  # the default branch
        assert rights == {"pull-requests"}


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A work tree whose programs write down how they were called."""
    for name in ("slipway", "pip", "dbt", "git"):
        for place in (f"bin/{name}", f".venv/bin/{name}"):
            recorder(tmp_path, place, name)
    recorder(tmp_path, "scripts/run", "slipway", "run")
    recorder(tmp_path, ".ci/run", "test")
    recorder(tmp_path, "temp/base/scripts/run", "slipway", "run")  # the work tree of the base commit
    return tmp_path


def recorder(root: Path, place: str, *name: str) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    words = " ".join(name)
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" {words} "$@" "" >>"{root}/calls"\n', encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    "step", [*scripts(), *of_gitlab()], ids=lambda step: f"{step.workflow}-{step.job}-{step.name}"
)
def test_its_script_calls_commands_that_exist(runner: Path, step: Step) -> None:
    given = {name: "main" if "${{" in value else value for name, value in step.variables.items()}
    variables = {
        "PATH": f"{runner}/bin:/usr/bin:/bin",
        "RUNNER_TEMP": str(runner / "temp"),
        "GITHUB_STEP_SUMMARY": str(runner / "summary"),
        **given,
    }
    if step.script.startswith("cat "):
        (runner / "temp/ci").mkdir()
        (runner / "temp/ci/ci.md").write_text("### Slipway: passed\n", encoding="utf-8")
    if step.script.startswith(("slipway comment", ".venv/bin/slipway comment")):
        (runner / "temp/comparison").mkdir()
        (runner / "temp/comparison/ci.md").touch()
    done = subprocess.run(
        ["bash", "-e", "-c", step.script],
        cwd=runner,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if step.script.startswith("cat "):
        assert (runner / "summary").read_text(encoding="utf-8") == "### Slipway: passed\n"
        return
    calls = [
        call.split("\n") for call in (runner / "calls").read_text(encoding="utf-8").split("\n\n") if call
    ]
    commands = LazyGroup("slipway")
    for name, *arguments in (call for call in calls if call[0] == "slipway" and "--help" not in call):
        command = commands.get_command(None, arguments[0])  # type: ignore[arg-type]
        assert command is not None, (name, arguments)
        more = (
            {"GITHUB_REPOSITORY": "ada/shop", "GITHUB_TOKEN": "secret"} if arguments[0] == "comment" else {}
        )
        with pytest.MonkeyPatch.context() as patch:
            for key, value in more.items():
                patch.setenv(key, value)
            command.make_context(arguments[0], arguments[1:])  # refuses an option that it does not have
