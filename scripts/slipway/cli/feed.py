"""``slipway feed``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import guesses, options, output
from slipway.counts import plural
from slipway.secrets import one_line

if TYPE_CHECKING:
    from slipway.adoption.new_feed import NewFeed
    from slipway.inference.findings import InferredColumn

_FEW = 5  # files that are listed one by one


@click.group("feed")
def command() -> None:
    """Feeds: the files of one producer."""


@command.command("add")
@click.argument("samples", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SAMPLE…")
@click.option(
    "--name",
    required=True,
    help="Of the feed: its folder in the landing area, its raw and its curated table.",
)
@click.option("--copy", is_flag=True, help="Copy the samples into the feed's folder of the landing area.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and the contract; write nothing.")
@options.common
def add(
    samples: tuple[Path, ...],
    *,
    name: str,
    copy: bool,
    dry_run: bool,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Write the contract and the models of a new feed from sample files.

    SAMPLE is a file, or a folder with some. All rows of all samples are read. What was found out is written into a contract, with what is a guess and
    its evidence, a source, a raw, a curated and a quarantine model and their YAML. No existing file is changed. The samples stay where they are. The
    feed's folder is made if the landing area is on this machine.
    """
    from slipway.adoption.new_feed import apply, copy_samples, make_folder, plan
    from slipway.environments.profiles import Profile, find_project
    from slipway.inference.sample_files import sample_files

    project = find_project(project_dir)
    landing = Profile(project).environment(target).landing
    files, left = sample_files(samples)
    planned = plan(project, name, files)
    is_made = False
    if not dry_run:
        if copy:
            copy_samples(planned, landing)
        apply(planned)
        is_made = make_folder(planned, landing)
    if output_ == "json":
        output.as_json(_record(planned, landing, left, dry_run=dry_run))
        return
    _show(planned, left, dry_run=dry_run)
    if dry_run:
        (contract,) = (step.content for step in planned.steps if step.name.startswith("contracts/"))
        output.result(f"\n{(contract or b'').decode()}")
        output.message("Nothing was written: this is a dry run.")
    else:
        _next(planned, landing, target, is_copied=copy, is_made=is_made)


def _show(planned: NewFeed, left: list[Path], *, dry_run: bool) -> None:
    feed = planned.feed
    output.line(
        f"{feed.name}: {plural(feed.rows, 'row')} in {plural(len(feed.files), 'file')}, {_format(planned)}"
    )
    output.result("")
    output.table(("column", "in files", "type", ""), [_row(column, feed.key) for column in feed.columns])
    output.result("")
    said = "would write" if dry_run else "wrote"
    output.table(("what", "file"), [(said, step.name) for step in planned.steps])
    if feed.set_aside:
        output.line(f"\n{plural(len(feed.set_aside), 'sample')} would be set aside:")
        for one in feed.set_aside:
            output.line(f"  {one.path.name}: {one.reason}")
    if left:
        names = ", ".join(path.name for path in left[:_FEW]) + (" …" if len(left) > _FEW else "")
        output.line(
            f"\n{plural(len(left), 'file')} of the folder {'has' if len(left) == 1 else 'have'} another ending: {names}"
        )
    if feed.guesses:
        output.line(f"\nTo review, {guesses.counted(len(feed.guesses))}:")
        for guess in feed.guesses:
            output.line(f"  {guess.about}: {guess.text}")


def _format(planned: NewFeed) -> str:
    """How files are read, in a few words."""
    server = planned.contract.landing
    assert server is not None
    settings = server.files.model_dump(by_alias=True, exclude_defaults=True, exclude={"guesses"})
    return ", ".join([str(server.format), *(f"{key} {value!r}" for key, value in settings.items())])


def _row(column: InferredColumn, key: Any) -> tuple[str, str, str, str]:  # noqa: ANN401 - names
    said = [
        word
        for word, is_so in (
            ("key", column.name in key),
            ("required", column.required and column.name not in key),
            ("optional", column.is_optional),
            (column.classification, bool(column.classification)),
        )
        if is_so
    ]
    kind = column.physical_type or " ".join(
        [column.logical_type, *(str(one) for one in column.options.values() if one is not True)]
    )
    return column.name, column.header, kind, ", ".join(said)


def _next(planned: NewFeed, landing: str, target: str | None, *, is_copied: bool, is_made: bool) -> None:
    feed = planned.feed
    to = f" --target {target}" if target else ""
    folder = f"{landing}/{feed.name}/"
    if is_copied:
        output.line(f"\nThe samples are in {folder}.")
    elif not all(str(path).startswith(folder) for path in feed.files):
        output.line(f"\nFiles of the feed go into {folder}; the samples were copied nowhere.")
        if is_made:
            output.line("This folder was made now.")
    (described,) = (step.name for step in planned.steps if "/_curated__" in step.name)
    output.line(
        f"\nA column whose type you change in the contract gets the same data_type in {described}; slipway contracts lint says which."
    )
    output.result(
        f"\nNext, when the contract is reviewed (delete the guesses that are right, correct the others):\n"
        f"  slipway contracts lint\n  slipway check{to}\n  slipway run{to} --select +curated.{shlex.quote(feed.name)}"
    )


def _record(planned: NewFeed, landing: str, left: list[Path], *, dry_run: bool) -> dict[str, Any]:
    feed = planned.feed
    return {
        "feed": feed.name,
        "folder": f"{landing}/{feed.name}",
        "pattern": feed.pattern,
        "rows": feed.rows,
        "files": [str(path) for path in feed.files],
        "set_aside": [{"file": str(one.path), "reason": one.reason} for one in feed.set_aside],
        "left_out": [str(path) for path in left],
        "columns": [
            column.model_dump(mode="json", exclude_none=True) for column in planned.contract.tables[0].columns
        ],
        "key": list(feed.key),
        "guesses": [{"about": guess.about, "text": one_line(guess.text)} for guess in feed.guesses],
        "written": [] if dry_run else [step.name for step in planned.steps],
        "would_write": [step.name for step in planned.steps] if dry_run else [],
    }
