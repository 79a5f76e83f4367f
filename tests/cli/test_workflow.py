"""The GitHub workflow that ``slipway init`` writes: its scripts are executed in their order, in a clone as GitHub makes one."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.harness.commands import environment
from tests.harness.newcomer import Newcomer

if TYPE_CHECKING:
    from tests.harness.commands import Commands

WITHOUT_SETTINGS = {
    "vars.SLIPWAY_WAREHOUSE != '' && !github.event.pull_request.head.repo.fork": "false",
    "env.PUBLISHED == 'true' && 'prod' || 'dev'": "dev",
    "env.PUBLISHED == 'true' && vars.SLIPWAY_WAREHOUSE || ''": "",
    "secrets.SLIPWAY_CATALOG_URI": "",
}
"""What the workflow's expressions come to in a repository without variables and secrets."""


@dataclass
class Runner:
    """A machine of GitHub's with a clone of the pull request.

    Args:
        clone: the work tree.
        temporary: the folder that is ``runner.temp``.
        base: the commit that the pull request is compared with.
        codes: exit codes of the scripts so far.
        said: what each of them printed, below its text.
    """

    clone: Path
    temporary: Path
    base: str
    codes: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def value(self, text: object) -> str:
        known = WITHOUT_SETTINGS | {
            "github.event.pull_request.base.sha": self.base,
            "runner.temp": str(self.temporary),
        }
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found.group(1)], str(text))

    def run(self) -> str:
        """Execute the scripts and return the text of the summary page; pip has nothing to install here."""
        job: dict[str, Any] = yaml.safe_load((self.clone / ".github/workflows/slipway.yml").read_text())[
            "jobs"
        ]["compare"]
        summary = self.temporary / "summary.md"
        summary.touch()
        env = {k: v for k, v in environment(self.temporary).items() if not k.startswith(("SLIPWAY_", "DBT_"))}
        env |= {"RUNNER_TEMP": str(self.temporary), "GITHUB_STEP_SUMMARY": str(summary)}
        for step in job["steps"]:
            condition = step.get("if", "success()")
            if "run" not in step or step["run"].startswith("pip ") or condition == "env.PUBLISHED == 'true'":
                continue
            if any(self.codes) and not condition.startswith("always()"):
                continue
            given = {name: self.value(value) for name, value in (job["env"] | step.get("env", {})).items()}
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=self.clone,
                env=env | given,
                capture_output=True,
                text=True,
                check=False,
            )
            self.codes.append(done.returncode)
            self.said.append(f"{step['run']}\n{done.stdout}{done.stderr}")
        return summary.read_text()


def git(folder: Path, *arguments: str) -> str:
    named = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.mark.long
def test_its_scripts_compare_a_pull_request(commands: Commands, tmp_path: Path) -> None:
    """In a project with a dbt package, which is not committed: it is installed for the base commit, too."""
    Newcomer(commands, tmp_path).types("slipway init shop")
    shop = tmp_path / "shop"
    for name, text in {
        "packages.yml": "packages:\n  - local: units\n",
        "units/dbt_project.yml": "name: units\nversion: '1.0.0'\n",
        "units/macros/hours.sql": "{% macro hours(minutes) %}round({{ minutes }} / 60, 2){% endmacro %}\n",
        "models/serving/hours.sql": "select station, {{ units.hours('sum(minutes)') }} as hours from {{ ref('rides_checked') }} group by station\n",
    }.items():
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / name).write_text(text)
    git(shop, "init", "--quiet")
    base = committed(shop, "the base")
    macro = shop / "units/macros/hours.sql"
    macro.write_text(macro.read_text().replace("60, 2", "60, 1"))
    contract = shop / "contracts/rides.odcs.yaml"
    version = re.search(r"version: (\S+)", contract.read_text())
    assert version is not None
    contract.write_text(contract.read_text().replace(f"version: {version[1]}", "version: 99.0.0"))
    committed(shop, "the pull request")

    clone, temporary = tmp_path / "clone", tmp_path / "runner"
    temporary.mkdir()
    git(tmp_path, "clone", "--quiet", str(shop), str(clone))
    runner = Runner(clone, temporary, base)
    summary = runner.run()
    # only the comparison fails, since nothing declares the difference
    assert runner.codes == [0, 0, 0, 1, 0, 0], "\n".join(runner.said)
    assert re.search(r"`serving.hours` \| \*\*different\*\*", summary)
    assert "99.0.0" in summary
    assert "Built 1 table in " in summary


@pytest.mark.long
def test_a_checkout_without_landed_files_is_not_compared(commands: Commands, tmp_path: Path) -> None:
    """The starter's README offers to ignore the landing area: then there is nothing to build from, and the comment says so."""
    Newcomer(commands, tmp_path).types("slipway init shop")
    shop = tmp_path / "shop"
    with (shop / ".gitignore").open("a") as ignored:
        ignored.write("/landing/\n")
    base = committed(shop, "the base")
    (shop / "models/serving/stations.sql").write_text(
        "select distinct station from {{ ref('rides_checked') }}\n"
    )
    committed(shop, "the pull request")

    clone, temporary = tmp_path / "clone", tmp_path / "runner"
    temporary.mkdir()
    git(tmp_path, "clone", "--quiet", str(shop), str(clone))
    runner = Runner(clone, temporary, base)
    summary = runner.run()
    assert not any(runner.codes), "\n".join(runner.said)
    assert summary.startswith("### Slipway: nothing was compared\n\nNo files are committed below landing, ")
    assert any(said.count("::warning title=Nothing was compared::") == 2 for said in runner.said)
    # the code is checked all the same
    assert any(said.startswith("slipway check") for said in runner.said)
