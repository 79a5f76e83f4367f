"""What is found out about the files of a new feed, and what of it is a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.landing.formats import FileFormat


@dataclass(frozen=True)
class Guess:
    """Something that a person should look at.

    Args:
        about: the column of models, ``files`` for how they are read, or ``rows`` for what holds of them together.
        text: one sentence with what was decided, and the evidence; no value of a column that is personal.
    """

    about: str
    text: str


FILES, ROWS = "files", "rows"
"""What a guess is about, when it is about no column."""


@dataclass(frozen=True)
class InferredColumn:
    """A column, as a property of a contract.

    Args:
        name: in models.
        header: in files and in raw.
        logical_type: one of the standard's.
        physical_type: of DuckDB, where the logical type does not say it.
        options: ``logicalTypeOptions``.
        required: whether no row lacks a value.
        is_optional: whether files may lack the column.
        null_values: spellings that stand for no value.
        is_trimmed: whether blanks around values are removed.
        classification: a word of ``confidential`` and ``restricted``; empty where nothing is personal.
        guards: whether a value with a leading zero, which a number would lose, sets its row aside.
        inside: the properties of an object, the items of an array, or the values of a map.
    """

    name: str
    header: str
    logical_type: str = "string"
    physical_type: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False
    is_optional: bool = False
    null_values: Sequence[str] = ()
    is_trimmed: bool = True
    classification: str = ""
    guards: bool = False
    inside: Sequence[InferredColumn] = ()


@dataclass(frozen=True)
class SetAside:
    """A sample that landing would not take, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class InferredFeed:
    """A feed as its samples show it.

    Args:
        name: of the feed.
        format: how its files are read.
        pattern: what their names look like.
        columns: in the order of files.
        key: names of the columns that tell all rows apart; empty where none do.
        decimal_mark: between the whole and the fraction of a number.
        thousands_mark: between groups of digits; empty where there is none.
        files: the samples that landing takes.
        rows: in all of them.
        set_aside: samples that it would not take.
        guesses: what a person should look at.
    """

    name: str
    format: FileFormat
    pattern: str
    columns: Sequence[InferredColumn]
    key: Sequence[str] = ()
    decimal_mark: str = "."
    thousands_mark: str = ""
    files: Sequence[Path] = ()
    rows: int = 0
    set_aside: Sequence[SetAside] = ()
    guesses: Sequence[Guess] = ()
