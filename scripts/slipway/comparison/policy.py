"""What a model declares about comparing it: key, tolerances, expected changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from slipway.errors import ConfigError

KEYS = ("compare_key", "compare_tolerance", "compare_expected")
_PLAIN_NAME = re.compile(r"\w+")


class Tolerance(BaseModel):
    """How far a value may move and still count as the same; either bound is enough.

    Args:
        absolute: largest ``|head - base|``, in the column's unit (days for a date, seconds for a timestamp).
        relative: largest ``|head - base| / |base|``, a fraction; a base of zero never passes by it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    absolute: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)
    relative: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.absolute is None and self.relative is None:
            msg = "needs absolute or relative"
            raise ValueError(msg)
        return self


class ExpectedChange(BaseModel):
    """A difference that the author declares, so that it does not fail a comparison.

    Args:
        reason: why it changes; shown in the report.
        columns: columns whose values, type or existence change.
        rows: whether rows are added, removed or both. Neither ``columns`` nor ``rows``: the whole table.
        until: the last day on which the declaration counts.
        propagates: whether it also covers what follows from it in tables downstream whose own code is the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=1)
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    rows: tuple[Literal["added", "removed"], ...] | None = Field(default=None, min_length=1)
    until: date | None = None
    propagates: StrictBool = False

    @property
    def whole_table(self) -> bool:
        """Whether everything about the table may change."""
        return self.columns is None and self.rows is None

    def holds(self, today: date | None) -> bool:
        """Whether the declaration still counts on ``today``; without a date only the unlimited ones do."""
        return self.until is None or (today is not None and today <= self.until)


class ComparisonPolicy(BaseModel):
    """Everything a model declares about its comparison.

    Args:
        key: columns that identify a row; empty means that whole rows are compared as a multiset.
        tolerances: by column name.
        expected: declared changes.
        identifiers: columns that are in the key of some model, in small letters: their sums mean nothing.
        former: columns to the names that they had before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: tuple[str, ...] = ()
    tolerances: dict[str, Tolerance] = Field(default_factory=dict)
    expected: tuple[ExpectedChange, ...] = ()
    identifiers: frozenset[str] = frozenset()
    former: dict[str, str] = Field(default_factory=dict)


def parse_policy(
    model: str,
    config: Mapping[str, Any],
    *,
    constraints: Sequence[Mapping[str, Any]] = (),
    columns: Mapping[str, Mapping[str, Any]] | None = None,
    tested: Sequence[Sequence[str]] = (),
) -> ComparisonPolicy:
    """Read a model's ``compare_*`` settings.

    Args:
        model: the model's name, for messages.
        config: the node's config as dbt's manifest has it; other keys are left as they are.
        constraints: the node's model-level constraints, for the default key.
        columns: the node's columns by name, for column-level constraints.
        tested: columns that data tests say are unique together, the best key first, for where no constraint names one.

    Raises:
        ConfigError: a ``compare_*`` key is unknown or a value cannot be understood; all findings in one line.
    """
    findings = [
        f"unknown key {name} (known: {', '.join(KEYS)})"
        for name in sorted(config)
        if name.startswith("compare_") and name not in KEYS
    ]
    key = _key(config, constraints, columns or {}, tested, findings)
    tolerances = _tolerances(config.get("compare_tolerance"), findings)
    expected = _expected(config.get("compare_expected"), findings)
    if findings:
        raise ConfigError(
            f"Cannot read the comparison settings of model {model}",
            "; ".join(findings),
            "Correct them in the model's config; docs/reference/comparison.md lists the keys",
        )
    return ComparisonPolicy(key=key, tolerances=tolerances, expected=expected)


def _key(
    config: Mapping[str, Any],
    constraints: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Mapping[str, Any]],
    tested: Sequence[Sequence[str]],
    findings: list[str],
) -> tuple[str, ...]:
    declared = config.get("compare_key")
    if declared is not None:
        names = _names(declared)
        if names is None:
            findings.append(f"compare_key is {declared!r}, expected a column name or a list of them")
        return names or ()
    unique = _names(config.get("unique_key"))
    # dbt also takes an SQL expression as unique_key; only column names identify rows on both sides.
    if unique and all(_PLAIN_NAME.fullmatch(name) for name in unique):
        return unique
    for constraint in constraints:
        names = _names(constraint.get("columns"))
        if constraint.get("type") == "primary_key" and names:
            return names
    constrained = tuple(
        name
        for name, column in columns.items()
        if any(constraint.get("type") == "primary_key" for constraint in column.get("constraints") or ())
    )
    return constrained or (tuple(tested[0]) if tested else ())


def keys_of_tests(manifest: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
    """Nodes to the columns that their data tests say are unique, those of one column first, then in the order of the node's columns.

    Counted are dbt's ``unique`` and ``unique_combination_of_columns`` of any package, if they look at all rows.

    Args:
        manifest: dbt's.
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    for test in manifest["nodes"].values():
        described, node = test.get("test_metadata") or {}, test.get("attached_node")
        if test["resource_type"] != "test" or not node or (test.get("config") or {}).get("where"):
            continue
        given = described.get("kwargs") or {}
        argument = {"unique": "column_name", "unique_combination_of_columns": "combination_of_columns"}
        names = _names(given.get(argument.get(described.get("name", ""), "")))
        if names and all(_PLAIN_NAME.fullmatch(name) for name in names):
            found.setdefault(node, []).append(names)
    for node, keys in found.items():
        order = list((manifest["nodes"].get(node) or {}).get("columns") or ())
        keys.sort(key=lambda names: (len(names), order.index(names[0]) if names[0] in order else len(order)))
    return found


def _names(value: object) -> tuple[str, ...] | None:
    """Column names given as one text or a list of texts; None when it is neither or a name occurs twice."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        return None
    return tuple(names) if len(set(names)) == len(names) else None


def _tolerances(value: object, findings: list[str]) -> dict[str, Tolerance]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        findings.append(f"compare_tolerance is {value!r}, expected {{column: {{absolute: 0.01}}}}")
        return {}
    tolerances = {}
    for column, bounds in value.items():
        try:
            tolerances[str(column)] = Tolerance.model_validate(bounds)
        except ValidationError as error:
            findings += _explain(f"compare_tolerance.{column}", error)
    return tolerances


def _expected(value: object, findings: list[str]) -> tuple[ExpectedChange, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        findings.append(f"compare_expected is {value!r}, expected a list of {{reason, columns, rows, until}}")
        return ()
    expected = []
    for position, entry in enumerate(value):
        try:
            expected.append(ExpectedChange.model_validate(entry))
        except ValidationError as error:
            findings += _explain(f"compare_expected[{position}]", error)
    return tuple(expected)


def _explain(where: str, error: ValidationError) -> list[str]:
    """One short finding per problem, without pydantic's links."""
    findings = []
    for problem in error.errors(include_url=False, include_context=False):
        place = ".".join((where, *(str(part) for part in problem["loc"])))
        if problem["type"] == "extra_forbidden":
            findings.append(f"unknown key {place}")
        elif problem["type"] == "missing":
            findings.append(f"{place} is missing")
        else:
            findings.append(f"{place}: {problem['msg'].removeprefix('Value error, ')}")
    return findings
