"""Whether a value or a pattern that data is compared with can be one of a logical type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any

from slipway.contracts.problems import Path, Problems

_NOT_RE2 = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]")
_NUMBERS = ("integer", "number")


def check_pattern(problems: Problems, path: Path, pattern: str) -> None:
    """Whether a pattern is a regular expression that DuckDB can carry out (RE2)."""
    try:
        re.compile(pattern)
    except re.error as error:
        problems.say(path, f"is no regular expression: {error}", "Correct it")
        return
    if _NOT_RE2.search(pattern):
        problems.say(
            path, "looks ahead, looks behind or refers back, which RE2 does not have", "Write it without"
        )


def check_value(problems: Problems, path: Path, value: Any, kind: str | None) -> None:  # noqa: ANN401 - YAML
    """Whether a value that data is compared with can be one of a logical type."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in _NUMBERS and not is_number:
        problems.say(path, f"is {value!r} in a property that is a number", "Write a number")
    elif kind in ("string", *_MOMENTS) and not isinstance(value, str):
        problems.say(path, f"is {value!r}, and the property is text", f'Write it in quotes: "{value}"')
    elif kind == "boolean" and not isinstance(value, bool):
        problems.say(path, f"is {value!r} in a property that is true or false", "Write true or false")
    elif moment := _MOMENTS.get(str(kind)):
        read, example = moment
        try:
            read(value)
        except ValueError:
            problems.say(path, f"is {value!r}, which is no {kind}", f'Write it like "{example}"')


_MOMENTS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (date.fromisoformat, "2024-12-31"),
    "timestamp": (datetime.fromisoformat, "2024-12-31T23:59:59Z"),
    "time": (time.fromisoformat, "23:59:59"),
}
