"""The log for code scanning has what GitHub asks for, whatever was found."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from slipway.check.check_report import RULES, Checked, Finding, Level, to_sarif


def having(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON Schema
    """An object that has all of some properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


TEXT = {"type": "string", "minLength": 1}
SAID = having(text=TEXT)
PLACE = having(
    physicalLocation=having(
        artifactLocation=having(uri={"type": "string", "pattern": "^[^/].*"}),
        region=having(startLine={"type": "integer", "minimum": 1}),
    )
)
# GitHub Docs, "SARIF support for code scanning"; what its upload adds by itself, such as fingerprints, is left out
WANTED = having(
    **{"$schema": {"const": "https://json.schemastore.org/sarif-2.1.0.json"}},
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "minItems": 1,
        "items": having(
            tool=having(
                driver=having(
                    name=TEXT,
                    rules={
                        "type": "array",
                        "uniqueItems": True,
                        "items": having(id=TEXT, shortDescription=SAID, fullDescription=SAID, help=SAID),
                    },
                )
            ),
            results={
                "type": "array",
                "items": having(
                    ruleId={"enum": list(RULES)},
                    ruleIndex={"type": "integer", "minimum": 0},
                    level={"enum": ["none", "note", "warning", "error"]},
                    message=SAID,
                    locations={"type": "array", "minItems": 1, "items": PLACE},
                ),
            },
        ),
    },
)
FINDINGS = [
    Finding(rule, level, "What is wrong.", "model.shop.orders", file, line)
    for rule, level, (file, line) in product(
        RULES, Level, (("models/a b.sql", 3), ("models/c.sql", None), ("", None))
    )
]


@pytest.mark.parametrize("findings", [[], FINDINGS], ids=["nothing", "every rule"])
def test_it_has_what_github_asks_for(findings: list[Finding]) -> None:
    log = to_sarif(Checked(findings, 3), "1.2.3")
    assert [error.message for error in Draft202012Validator(WANTED).iter_errors(log)] == []
    (run,) = log["runs"]
    assert [run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] for one in run["results"]] == [
        one.rule for one in findings
    ]


def test_a_log_without_one_of_them_is_noticed() -> None:
    log = to_sarif(Checked(FINDINGS, 3), "1.2.3")
    log["runs"][0]["results"][0]["level"] = "fatal"
    del log["runs"][0]["tool"]["driver"]["rules"][0]["help"]
    assert len(list(Draft202012Validator(WANTED).iter_errors(log))) == 2
