"""The only module that writes: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def result(text: str) -> None:
    """Print what was asked for."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def result_bytes(content: bytes) -> None:
    """Write binary output, such as Parquet."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def as_json(value: Any) -> None:
    """Print a value as JSON; times and dates in ISO 8601, decimals as text."""
    result(json.dumps(value, indent=2, default=str))


def message(text: str) -> None:
    """Tell something that is not the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def console(*, stderr: bool = False) -> Console:
    """A rich console; plain and without wrapping where the output is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, soft_wrap=not stream.isatty())


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print rows under headers, aligned; the named columns to the right."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max([len(header), *(len(row[at]) for row in cells)]) for at, header in enumerate(headers)]
    for row in [list(headers), *cells]:
        aligned = [
            text.rjust(width) if header in right else text.ljust(width)
            for text, width, header in zip(row, widths, headers, strict=True)
        ]
        result("  ".join(aligned).rstrip())
