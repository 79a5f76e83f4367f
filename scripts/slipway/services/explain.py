"""Explain what a person names: a run or a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slipway.domain.errors import NotFoundError
from slipway.services.environments import LATEST
from slipway.services.inspect import RunDetails, run_details

if TYPE_CHECKING:
    from slipway.services.origin import TableOrigin


def explain(project_dir: Path | None, target: str | None, what: str) -> RunDetails | TableOrigin:
    """A run by its id, a unique part of it or ``latest``; or a table by ``layer.table`` or its name alone.

    Raises:
        NotFoundError: it is neither, or more than one.
    """
    if "." in what:
        return _table(project_dir, target, what)
    try:
        return run_details(project_dir, target, what)
    except NotFoundError as no_run:
        if what == LATEST or no_run.why:
            raise
    try:
        return _table(project_dir, target, what)
    except NotFoundError as no_table:
        raise NotFoundError(f"there is no run and no table {what}", no_table.why, no_table.fix) from None


def _table(project_dir: Path | None, target: str | None, what: str) -> TableOrigin:
    from slipway.services.origin import table_origin  # it needs the engines, which a run does not

    return table_origin(project_dir, target, what)
