"""``slipway init``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli import options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.adoption.adopt import Adoption, Step

_WOULD = {"wrote": "write", "added to": "add to", "kept": "keep"}  # of a dry run
_EACH = 12  # files of a folder that are listed one by one


@click.command("init")
@click.argument("folder", type=options.Folder(), default=Path())
@click.option(
    "--example", is_flag=True, help="Bring the bundled example. Only for a folder without a dbt project."
)
@click.option("--bare", is_flag=True, help="Begin a new project without the small feed and its models.")
@click.option(
    "--check", is_flag=True, help="Compare what init wrote with what this version writes; write nothing."
)
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
def command(*, folder: Path, example: bool, bare: bool, check: bool, dry_run: bool) -> None:
    """Prepare a dbt project for Slipway, or begin a new one.

    In an existing project the missing files are written, and lines are added to dbt_project.yml, profiles.yml, .gitignore and
    requirements.txt; no existing line is changed. A folder without a project gets a small project that runs, or with --bare one without feeds and models,
    and a git repository where none is around it. FOLDER defaults to the current folder.

    With --check the exit code is 1 when a file is missing, lacks lines, or is written differently by this version.
    """
    if check:
        _check(folder)
        return
    if example and bare:
        raise click.UsageError("--example and --bare exclude each other.")
    from slipway.adoption.adopt import apply, plan

    adoption = plan(folder, with_example=example, is_bare=bare)
    if not dry_run:
        apply(adoption)
    _show(adoption, folder, dry_run=dry_run)
    if dry_run:
        output.message("Nothing was written: this is a dry run.")
    else:
        _next(adoption, folder, is_empty=bare)


def _show(adoption: Adoption, folder: Path, *, dry_run: bool) -> None:
    from slipway.adoption.adopt import Action, Repository

    steps = adoption.steps
    if all(step.action is Action.KEPT for step in steps):
        output.result("Nothing was written: everything is there.")
    else:
        said = _WOULD if dry_run else {}
        rows = [(said.get(action, action), name, detail) for action, name, detail in _rows(steps)]
        if adoption.repository is Repository.NEW:
            rows.append((said.get("wrote", "wrote"), ".git/", "a git repository"))
        output.table(("what", "file", ""), rows)
    for step in steps:
        if step.shown and step.action is Action.ADDED:
            output.result(f"\n{step.shown}")
    for step in steps:
        if step.action is Action.BY_HAND:
            output.result(f"\nTo do by hand in {step.name}, {step.detail}:\n\n{step.shown}")
    for note in (*adoption.notes, *_of_git(adoption, folder, dry_run=dry_run)):
        output.result(f"\n{note}")


def _of_git(adoption: Adoption, folder: Path, *, dry_run: bool) -> Iterator[str]:
    from slipway.adoption.adopt import Repository

    git = "git" if folder.resolve() == Path.cwd() else f"git -C {shlex.quote(str(folder))}"
    commit = f"{git} add --all && {git} commit --message 'Begin with Slipway'"
    match adoption.repository:
        case Repository.NEW if not dry_run:
            yield f"A run can be replayed if its code is committed. To commit the project:\n  {commit}"
        case Repository.NONE:
            yield f"The project is in no git repository, so that no run can be replayed. To change that:\n  {git} init && {commit}"
        case Repository.NO_GIT:
            yield "git is not installed, so that no run can be replayed. Install it, and commit the project."


def _rows(steps: Sequence[Step]) -> Iterator[tuple[str, str, str]]:
    """A row for each file; of a folder with many files that nothing else is to be said about, one row."""
    folders = Counter((step.name.partition("/")[0], step.action) for step in steps if not step.detail)
    for step in steps:
        key = (step.name.partition("/")[0], step.action)
        if step.detail or folders[key] in range(1, _EACH + 1):
            yield step.action, step.name, step.detail
        elif folders[key]:
            yield step.action, f"{key[0]}/", plural(folders[key], "file")
            folders[key] = 0


def _next(adoption: Adoption, folder: Path, *, is_empty: bool) -> None:
    from slipway.adoption.adopt import Action

    if is_empty and not (adoption.folder / "models").exists():
        at = "" if folder.resolve() == Path.cwd() else f" --project-dir {shlex.quote(str(folder))}"
        output.result(f"\nNext, with files of a feed:\n  slipway feed add FILES --name NAME{at}")
        return
    target = "" if adoption.is_default else f" --target {adoption.target}"
    then = f'sql{target} "{adoption.query}"' if adoption.query else f"show latest{target}"
    inside = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    by_hand = any(step.action is Action.BY_HAND for step in adoption.steps)
    output.result(
        f"\nNext{', when that is done' if by_hand else ''}:\n  {inside}slipway run{target}\n  slipway {then}"
    )


def _check(folder: Path) -> None:
    from slipway.adoption.adopt import State, check

    found = check(folder)
    shown = [one for one in found if one.state is not State.SAME]
    if shown:
        written_by = ("", "written by Slipway ")
        output.table(
            ("file", "", ""),
            [(one.name, one.state, f"{written_by[bool(one.version)]}{one.version}") for one in shown],
        )
    for one in shown:
        if one.diff:
            output.result(f"\n{one.diff}")
    due = [one for one in shown if one.is_due]
    if not due:
        output.result(f"{plural(len(found), 'file')}: nothing to do.")
        return
    verb = "differs" if len(due) == 1 else "differ"
    output.message(
        f"{len(due)} of {plural(len(found), 'file')} {verb} from what this version writes. Take over from the lines above what you want; "
        "slipway init writes a file anew that you delete, and adds lines that are missing."
    )
    raise click.exceptions.Exit(1)
