"""What Spark raises, as one error with one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from slipway.engines.duckdb.rewrite import NotCarriedError
from slipway.errors import ContractError, SlipwayError, first_line


@contextmanager
def in_one_line(name: str, kind: str = "model") -> Iterator[None]:
    """Report in one line what Spark raises, which is many lines of Java.

    Args:
        name: of what Spark computes.
        kind: what that is, ``model`` or ``test``.

    Raises:
        ContractError: a column would be NULL that must not be.
        SlipwayError: anything else.
    """
    try:
        yield
    except (SlipwayError, NotCarriedError):
        raise
    except Exception as error:  # whatever pyspark and Py4J raise
        if column := _required(error):
            raise ContractError(
                f"{name}: column {column} is required in its table, and NULL in a row",
                "Spark ends at the first one",
                "Change the query, or constraints in the model's YAML",
            ) from error
        raise SlipwayError(
            f"Spark ended with an error in {name}",
            reason_of(error),
            f"Correct the {kind} or its input, or let DuckDB compute it, which says more about the row: engine: duckdb",
        ) from error


_REQUIRED = re.compile(r"\[NOT_NULL_ASSERT_VIOLATION\][^:]*:\s*(\S+)")
_CAUSE = "Caused by: "
_STORE = "software.amazon.awssdk."
"""Errors of the store, whose own cause is one of a connection and does not say of which."""
_JAVA_CLASS = re.compile(r"^(?:[a-z]\w*\.)+[\w$]+: (?=\S)")


def reason_of(error: BaseException) -> str:
    """Why Spark failed, in one line: what Java names as the first cause, else what the error says first.

    Py4J's errors say first which call failed, and their text has Java's stack trace with all causes, the first of them last.
    """
    with suppress(Exception):  # Java, which is asked for the text, may have died
        lines = [line.strip() for line in str(error).splitlines()]
        causes = [line.removeprefix(_CAUSE) for line in lines if line.startswith(_CAUSE)]
        if causes:
            of_store = [cause for cause in causes if cause.startswith(_STORE)]
            return _JAVA_CLASS.sub("", (of_store or causes)[-1])
    return first_line(error)


def _required(error: BaseException) -> str:
    """The column whose NULL Spark refused to write; empty for another error."""
    with suppress(Exception):
        if found := _REQUIRED.search(str(error)):
            return found.group(1)
    return ""
