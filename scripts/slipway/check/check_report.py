"""Findings of a check: what they say, and how they are written for people and for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from slipway.counts import plural

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_MOST = 5  # models and exposures that a line names


class Level(StrEnum):
    """How much a finding matters; the values are those of SARIF and of GitHub's annotations."""

    ERROR = "error"
    WARNING = "warning"


RULES: Mapping[str, str] = {
    "parse": "dbt can parse the project.",
    "configuration": "What is configured for a node can be carried out, and names are allowed.",
    "contract": "Data contracts can be read, and agree with the models that they describe.",
    "seed": "A seed is a CSV file whose values have their declared types.",
    "compile": "The Jinja of a node can be rendered.",
    "bind": "A query names tables, columns and functions that there are, with types that fit.",
    "plain-name": "A query reads the tables of the project by ref and source, so that dbt knows what it depends on.",
    "columns": "A query has the columns that its YAML declares, by name, in the same case and of the same type.",
    "unit-test": "The rows of a unit test have columns that its inputs and its model have.",
    "volatile": "A result depends on nothing but tables: no clock, no random number, no file.",
    "float-sum": "No sum of binary floating-point numbers, whose last digits depend on the order of the rows.",
    "deprecated": "No model is past its deprecation date.",
    "increment": "Incremental models select what has changed by rows_added or partitions_changed, and both branches have the same columns.",
}
"""What each rule asks for, by its id."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        rule: one of ``RULES``.
        level: whether it fails the check.
        message: a sentence or more: what, why, what to do.
        node: unique id of dbt; empty where it is of no node.
        file: relative to the project's folder; empty where it is of no file.
        line: in the file, counted from 1; None where it is of the whole file.
        reaches: names of the models, snapshots and exposures that depend on the node.
    """

    rule: str
    level: Level
    message: str
    node: str = ""
    file: str = ""
    line: int | None = None
    reaches: Sequence[str] = ()

    @property
    def place(self) -> str:
        """File and line as editors take them."""
        return f"{self.file}:{self.line}" if self.line else self.file or "dbt_project.yml"


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    Args:
        findings: by file and line.
        nodes: how many models, snapshots, seeds and tests were looked at.
        unchecked: nodes that could not be looked at as a whole, with the reason.
        seconds: how long it took, without the time in which dbt parsed the project.
    """

    findings: Sequence[Finding]
    nodes: int
    unchecked: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def errors(self) -> int:
        """How many findings fail the check."""
        return sum(one.level is Level.ERROR for one in self.findings)

    @property
    def warnings(self) -> int:
        """How many do not."""
        return len(self.findings) - self.errors

    @property
    def summary(self) -> str:
        """The last line of the text."""
        left = f"; {plural(len(self.unchecked), 'node')} not checked" if self.unchecked else ""
        found = f"{plural(self.errors, 'error')}, {plural(self.warnings, 'warning')}"
        return f"{plural(self.nodes, 'node')} checked in {self.seconds:.1f} s: {found}{left}."


def to_lines(checked: Checked) -> Iterator[str]:
    """The check as text for a terminal."""
    for one in checked.findings:
        yield f"{one.place}: {one.level.value}: {one.message} [{one.rule}]"
        if one.reaches:
            yield f"    It reaches {_some(one.reaches)}."
    for why, names in _by_reason(checked.unchecked).items():
        yield f"Not checked: {_some(names)}: {why}."
    yield checked.summary


def to_record(checked: Checked) -> dict[str, Any]:
    """The check as JSON."""
    return {
        "findings": [{**asdict(one), "level": one.level.value} for one in checked.findings],
        "errors": checked.errors,
        "warnings": checked.warnings,
        "nodes": checked.nodes,
        "unchecked": dict(checked.unchecked),
        "seconds": round(checked.seconds, 3),
    }


def to_annotations(checked: Checked) -> Iterator[str]:
    """The check as workflow commands of GitHub Actions, which become annotations of a pull request.

    Format: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    for one in checked.findings:
        message = one.message + (f" It reaches {_some(one.reaches)}." if one.reaches else "")
        where = {
            "file": one.file or "dbt_project.yml",
            "line": one.line or 1,
            "title": f"slipway check: {one.rule}",
        }
        given = ",".join(f"{key}={_property(str(value))}" for key, value in where.items())
        yield f"::{one.level.value} {given}::{_data(message)}"
    yield f"::notice title=slipway check::{_data(checked.summary)}"


def to_sarif(checked: Checked, version: str) -> dict[str, Any]:
    """The check as a log of the Static Analysis Results Interchange Format 2.1.0 (OASIS), which code hosts show next to the lines.

    Args:
        checked: what was found.
        version: of this program.
    """
    rules = list(RULES)
    driver = {
        "name": "slipway check",
        "version": version,
        "rules": [
            {
                "id": rule,
                "shortDescription": {"text": RULES[rule]},
                "fullDescription": {"text": RULES[rule]},
                "help": {
                    "text": "How to check before running: docs/how-to/check-before-running.md of Slipway."
                },
            }
            for rule in rules
        ],
    }
    results = [
        {
            "ruleId": one.rule,
            "ruleIndex": rules.index(one.rule),
            "level": one.level.value,
            "message": {"text": one.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": one.file or "dbt_project.yml", "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": one.line or 1},
                    }
                }
            ],
            "properties": {"node": one.node, "reaches": list(one.reaches)},
        }
        for one in checked.findings
    ]
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}],
    }


def _by_reason(unchecked: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node, why in unchecked.items():
        kind, _, name = node.split(".", 2)
        # dbt puts a digest behind the name of a generic test
        found.setdefault(why, []).append(name.partition(".")[0] if kind == "test" else name)
    return found


def _some(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _MOST} more" if len(every) > _MOST else ""
    return ", ".join(every[:_MOST]) + more


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
