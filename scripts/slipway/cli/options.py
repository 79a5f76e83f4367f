"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def target(function: F) -> F:
    """``--target``: the environment."""
    return click.option("--target", "-t", help="dbt target, that is environment. [default: the profile's]")(
        function
    )


def project_dir(function: F) -> F:
    """``--project-dir``: the dbt project."""
    return click.option(
        "--project-dir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder of dbt_project.yml. [default: this one or one above]",
    )(function)


def output(*formats: str) -> Callable[[F], F]:
    """``--output``: the form of what is printed on stdout; the first is the default."""
    return click.option(
        "--output", "-o", "output_", type=click.Choice(formats), default=formats[0], show_default=True
    )


def variables(function: F) -> F:
    """``--vars``: dbt variables as YAML."""
    return click.option(
        "--vars", "vars_", metavar="YAML", help="dbt variables, for example '{slice: {from: …}}'."
    )(function)


def parse_vars(text: str | None) -> dict[str, Any]:
    """``--vars`` as a mapping.

    Raises:
        UsageError: it is not YAML, or not a mapping.
    """
    import yaml

    from slipway.domain.errors import UsageError

    try:
        value = yaml.safe_load(text or "{}")
    except yaml.YAMLError as error:
        raise UsageError(
            "--vars is not YAML", " ".join(str(error).split()), "quote it: --vars '{a: 1}'"
        ) from None
    if not isinstance(value, dict):
        raise UsageError("--vars is not a mapping", repr(value), "write --vars '{a: 1}'")
    return value
