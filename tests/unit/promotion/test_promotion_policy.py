"""What promotion.yml may say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.harness.records import environment

from slipway.errors import ConfigError
from slipway.promotion.promotion_policy import Policy, Require, parse_policy, read_policy

ROOT = Path(__file__).parents[3]


def test_the_policy_of_the_project_is_one() -> None:
    found = read_policy(ROOT)
    assert found.environments.keys() == {"staging", "prod"}
    assert len(found.sha256) == 64


def test_every_key_can_be_written() -> None:
    found = parse_policy(
        """
environments:
  prod:
    from: [staging, dev]
    layers: [serving]
    require: {tests_passed: true, rows_balance: true, clean_commit: true, commit_on: main, run_max_age: 36h,
              sources_fresh: true, comparison_max_age: 2d, contracts_compatible: true, signed: true, quarantine_max_percent: 0.5}
"""
    )
    rules = found.environments["prod"]
    assert rules.sources == ("staging", "dev")
    assert rules.moves("serving")
    assert not rules.moves("raw")
    assert rules.require == Require(
        tests_passed=True,
        rows_balance=True,
        clean_commit=True,
        commit_on="main",
        run_max_age=timedelta(hours=36),
        sources_fresh=True,
        comparison_max_age=timedelta(days=2),
        contracts_compatible=True,
        signed=True,
        quarantine_max_percent=0.5,
    )


def test_another_text_is_another_policy() -> None:
    one, other = (parse_policy(f"environments: {{prod: {{from: [staging]}}}}{end}") for end in ("", " # new"))
    assert one.environments == other.environments
    assert one.sha256 != other.sha256


@pytest.fixture
def several() -> Policy:
    return parse_policy("environments: {prod: {from: [staging, dev]}}")


def test_one_of_several_sources_is_named(several: Policy, tmp_path: Path) -> None:
    prod = environment(tmp_path, name="prod")
    assert several.of(prod, "dev")[1] == "dev"
    with pytest.raises(
        ConfigError, match=r"Promotion to prod needs --from: releases may come from staging, dev"
    ):
        several.of(prod, None)
    with pytest.raises(ConfigError, match="Nothing may be promoted from test to prod"):
        several.of(prod, "test")
    with pytest.raises(
        ConfigError, match=r"Nothing may be promoted to staging: promotion.yml has rules for prod"
    ):
        several.of(environment(tmp_path, name="staging"), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "environment: {}", r"Unknown key `environment` .* Did you mean `environments`\?", id="top"
        ),
        pytest.param(
            "environments: {prod: {form: [staging]}}",
            r"Unknown key `form` .* Did you mean `from`\?",
            id="from",
        ),
        pytest.param("environments: {prod: {sources: [staging]}}", "Unknown key `sources`", id="own-name"),
        pytest.param(
            "environments: {prod: {from: [a], require: {run_age: 3d}}}",
            r"Unknown key `run_age` .* Did you mean `run_max_age`\?",
            id="require",
        ),
        pytest.param(
            "environments: {prod: {from: []}}",
            r"environments\.prod\.from \(promotion\.yml, line 1\)",
            id="empty",
        ),
        pytest.param(
            "environments: {prod: {from: [a], require: {quarantine_max_percent: 101}}}",
            "less than or equal to 100",
            id="percent",
        ),
        pytest.param(
            "environments: {prod: {from: [a], require: {tests_passed: maybe}}}", "boolean", id="bool"
        ),
        pytest.param(
            "environments: {prod: {from: [a]}, prod: {from: [b]}}", "the key is there twice", id="twice"
        ),
        pytest.param("", "promotion.yml cannot be read: it is empty", id="nothing"),
        pytest.param("a: [", "promotion.yml, line 2 cannot be read: it is not YAML", id="no-yaml"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_policy(text)
