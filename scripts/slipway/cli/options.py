"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slipway.errors import UsageError
from slipway.secrets import one_line

if TYPE_CHECKING:
    from click.parser import _OptionParser, _ParsingState


F = TypeVar("F", bound=Callable[..., Any])


class Folder(click.Path):
    """A folder, named in messages as it was given: click shows a path as Python's text, with two backslashes for one.

    Args:
        exists: whether it has to be there.
    """

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(exists=exists, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ANN401
        """The path, of a folder or of nothing yet."""
        path = Path(value)
        if path.is_dir() or not (self.exists or path.exists()):
            return path
        what = "is a file" if path.exists() else "does not exist"
        return self.fail(f"Directory '{one_line(str(path))}' {what}.", param, ctx)


target = click.option("--target", "-t", help="dbt target, that is environment. [default: the profile's]")
project_dir = click.option(
    "--project-dir",
    type=Folder(exists=True),
    help="Folder of dbt_project.yml. [default: this one or one above]",
)
limit = click.option(
    "--limit", "-n", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How many."
)
variables = click.option(
    "--vars", "vars_", metavar="YAML", help="dbt variables, for example '{slice: {from: …}}'."
)

wait = click.option(
    "--wait",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for runs on the same tables.",
)


class Selectors(click.Option):
    """An option that takes every word up to the next option, as dbt's own does: ``--select a b``."""

    def add_to_parser(self, parser: _OptionParser, ctx: click.Context) -> None:
        """Let the parser hand over the following words, too; two selectors in one value are a union."""
        super().add_to_parser(parser, ctx)
        known = {**parser._long_opt, **parser._short_opt}  # noqa: SLF001 - click has no public way to it
        for option in {id(known[name]): known[name] for name in self.opts}.values():
            option.process = _greedy(option.process)  # type: ignore[assignment,method-assign]


def _greedy(process: Callable[[str, _ParsingState], None]) -> Callable[[str, _ParsingState], None]:
    def take(value: str, state: _ParsingState) -> None:
        words = [value]
        while state.rargs and not state.rargs[0].startswith("-"):
            words.append(state.rargs.pop(0))
        process(" ".join(words), state)

    return take


selection = click.option(
    "--select", "-s", cls=Selectors, multiple=True, metavar="SELECTOR …", help="dbt selectors."
)


def _some(_: click.Context, __: click.Parameter, chosen: tuple[str, ...]) -> tuple[str, ...]:
    if chosen and not " ".join(chosen).split():
        raise UsageError("--select names no table", "it is empty", "Leave it out for all of them")
    return chosen


selection_of_tables = click.option(
    "--select",
    "-s",
    cls=Selectors,
    multiple=True,
    metavar="TABLE …",
    callback=_some,
    help="Only these tables: layer.table, or patterns such as 'serving.*'.",
)


def change(function: F) -> F:
    """``--dry-run``, ``--reason`` and ``--yes`` of commands that change what readers see."""
    asked = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
    why = click.option("--reason", default="", help="Why; it is recorded.")
    dry = click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
    return dry(why(asked(function)))


def confirm(*, yes: bool) -> None:
    """Ask whether to continue, if somebody is there to answer; the answer no ends the command."""
    if not yes and sys.stdin.isatty():
        click.confirm("Go on?", abort=True)


def output(*formats: str) -> Callable[[F], F]:
    """``--output``: the form of what is printed on stdout; the first is the default."""
    return click.option(
        "--output",
        "-o",
        "output_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Form of what is printed on stdout.",
    )


def output_dir(what: str, default: str | None = None) -> Callable[[F], F]:
    """``--output-dir``: the folder that results go to."""
    return click.option(
        "--output-dir",
        type=Folder(),
        default=default,
        show_default=bool(default),
        help=what,
    )


def common(function: F) -> F:
    """``--output``, text or JSON, ``--target`` and ``--project-dir``."""
    return output("text", "json")(target(project_dir(function)))


show_classified = click.option(
    "--show-classified", is_flag=True, help="Show values of columns that a contract classifies."
)


def parse_vars(text: str | None) -> dict[str, Any]:
    """``--vars`` as a mapping.

    Raises:
        UsageError: it is not YAML, or not a mapping of names to values that JSON can hold.
    """
    import json

    import yaml

    try:
        value = yaml.safe_load(text or "{}")
    except (yaml.YAMLError, ValueError) as error:  # of a date that does not exist
        raise UsageError(
            "--vars is not YAML", " ".join(str(error).split()), "Quote it: --vars '{a: 1}'"
        ) from None
    if not isinstance(value, dict):
        raise UsageError("--vars is not a mapping", repr(value), "Write --vars '{a: 1}'")
    try:
        json.dumps(value, default=str)
    except (TypeError, ValueError) as error:
        raise UsageError("--vars cannot be recorded", str(error), "Write --vars '{a: 1}'") from None
    return value


def made(output_dir: Path) -> Path:
    """The folder that results go to, there before what takes minutes is begun.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--output-dir {output_dir} cannot be made", error.strerror or str(error), "Name another folder"
        ) from None
    return output_dir
