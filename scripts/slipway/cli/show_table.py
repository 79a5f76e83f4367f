"""Where a table comes from, explained on one screen."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slipway.cli import figures, output

if TYPE_CHECKING:
    from slipway.services.origin import SourceFiles, TableOrigin, Tested

_PLAIN = ("pass", "success")


def show(origin: TableOrigin) -> None:
    """Print how a published table came to be."""
    _summary(origin)
    _sources(origin)
    for files in origin.files:
        _files(files)
    _tests(origin)
    _columns(origin)


def record(origin: TableOrigin) -> dict[str, Any]:
    """The same for ``--output json``; times in ISO 8601."""
    found: dict[str, Any] = _plain({name: value for name, value in asdict_of(origin).items()})
    return found


def asdict_of(origin: TableOrigin) -> dict[str, Any]:
    """The fields of an origin with its test results as plain values."""
    tested = [
        {
            "run_id": run.run_id,
            "outcome": run.outcome,
            "started_at": run.started_at,
            "tests": [test.model_dump(mode="json") for test in run.tests],
        }
        for run in origin.tested
    ]
    return {**asdict(origin), "tested": tested}
