"""``slipway doctor``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.doctor.diagnose import Diagnosis, Done
    from slipway.doctor.examination import Step


FOUND = 6


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Carry out the steps that are listed.")
@click.option("--deep", is_flag=True, help="Look at the records of every run and at every data file, too.")
@options.common
def command(*, fix: bool, deep: bool, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Find what a crash or a mistake left behind, and repair it with --fix.

    Records of runs and releases are never changed or deleted: what replaces a damaged one is written next to it. Exit
    code 6 says that something is left: all that was found, or with --fix what only a person can decide.
    """
    from slipway.doctor.diagnose import examine, repair
    from slipway.environments.profiles import find_project

    diagnosis = examine(find_project(project_dir), target, deep=deep)
    done = repair(diagnosis, output.message) if fix else None
    if output_ == "json":
        output.as_json(_record(diagnosis, done))
    else:
        _show(diagnosis, done)
    if _is_left(diagnosis, done):
        raise click.exceptions.Exit(FOUND)


def _is_left(diagnosis: Diagnosis, done: list[Done] | None) -> bool:
    if done is None:
        return bool(diagnosis.findings)
    return any(item.failure for item in done) or any(not found.steps for found in diagnosis.findings)


def _show(diagnosis: Diagnosis, done: list[Done] | None) -> None:
    if not diagnosis.findings:
        output.line(f"Nothing was found in {diagnosis.target}.")
        return
    for found in diagnosis.findings:
        output.line(f"{found.where}: {found.what}. {found.fix}.")
    if done is None and diagnosis.steps:
        output.line(f"\nslipway doctor --fix does {plural(len(diagnosis.steps), 'step')}:")
        for step in diagnosis.steps:
            output.line(f"  {step.description}")
    elif done:
        output.line("\nDone:")
        for item in done:
            did = item.step.description
            output.line(f"  failed: {did}: {item.failure}" if item.failure else f"  {did}")


def _record(diagnosis: Diagnosis, done: list[Done] | None) -> dict[str, Any]:
    return {
        "target": diagnosis.target,
        "findings": [
            {**asdict(found), "steps": [_step(step) for step in found.steps]} for found in diagnosis.findings
        ],
        "done": None
        if done is None
        else [{**_step(item.step), "failure": item.failure or None} for item in done],
    }


def _step(step: Step) -> dict[str, Any]:
    return {"step": type(step).__name__, **asdict(step)}
