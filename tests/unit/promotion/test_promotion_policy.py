"""What promotion.yml may say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.harness.records import environment

from slipway.errors import ConfigError
from slipway.promotion.demands import Classified, demands
from slipway.promotion.promotion_policy import (
    Approvals,
    People,
    Policy,
    Require,
    parse_policy,
    read_policy,
)
from slipway.records.promotion_records import Demand

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
              sources_fresh: true, comparison_max_age: 2d, comparison_min_percent: 20, contracts_compatible: true, signed: true, quarantine_max_percent: 0.5}
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
        comparison_min_percent=20,
        contracts_compatible=True,
        signed=True,
        quarantine_max_percent=0.5,
    )


def test_approvals_can_be_demanded() -> None:
    found = parse_policy(
        """
environments:
  prod:
    from: [staging]
    approvals:
      count: 1
      roles: [release-manager]
      plan_max_age: 2d
      classified:
        restricted: {count: 2, roles: [data-owner, privacy]}
        confidential: {count: 1}
"""
    ).environments["prod"]
    assert found.approvals == Approvals(
        count=1,
        roles=("release-manager",),
        plan_max_age=timedelta(days=2),
        classified={
            "restricted": People(count=2, roles=("data-owner", "privacy")),
            "confidential": People(count=1),
        },
    )


@pytest.mark.parametrize(
    ("approvals", "message"),
    [
        pytest.param("{count: 0}", r"approvals\.count .*greater than or equal to 1", id="zero"),
        pytest.param("{count: -1}", r"approvals\.count .*greater than or equal to 1", id="negative"),
        pytest.param("{count: true}", r"approvals\.count .*valid integer", id="boolean"),
        pytest.param("{count: '2'}", r"approvals\.count .*valid integer", id="text"),
        pytest.param("{roles: [a]}", r"approvals\.count", id="no-count"),
        pytest.param("{count: 1, roles: []}", r"approvals\.roles", id="no-role"),
        pytest.param("{counts: 1}", r"Unknown key `counts` .* Did you mean `count`\?", id="key"),
        pytest.param(
            "{count: 1, classified: {restricted: {count: 1, role: [a]}}}",
            r"Unknown key `role` .* Did you mean `roles`\?",
            id="inner-key",
        ),
        pytest.param(
            "{count: 1, classified: {restricted: {count: 0}}}",
            r"approvals\.classified\.restricted\.count",
            id="inner-zero",
        ),
    ],
)
def test_approvals_that_cannot_be_meant_are_refused(approvals: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_policy(f"environments: {{prod: {{from: [staging], approvals: {approvals}}}}}")


def test_a_classification_that_nothing_has_is_refused() -> None:
    given = Approvals(count=1, classified={"Restrictd": People(count=1), "secret": People(count=2)})
    classified = Classified({"serving.a": {"restricted", "secret"}}, {"restricted", "secret"})
    with pytest.raises(ConfigError, match=r"names the classification Restrictd: .*Did you mean restricted\?"):
        demands(given, ["serving.a"], classified)


def test_what_is_demanded_depends_on_the_classification_of_what_is_moved() -> None:
    given = Approvals(count=1, classified={"Restricted": People(count=2, roles=("owner",))})
    classified = Classified({"serving.a": {"restricted"}, "serving.b": {"internal"}}, {"restricted"})
    base = Demand(count=1)
    of_restricted = Demand(count=2, roles=["owner"], classification="Restricted", tables=["serving.a"])
    assert demands(None, ["serving.a"], classified) == []
    assert demands(given, ["serving.b"], classified) == [base]
    assert demands(given, ["serving.b", "serving.a"], classified) == [base, of_restricted]
    unknown = of_restricted.model_copy(update={"tables": ["serving.a", "serving.b"]})
    assert demands(given, ["serving.b", "serving.a"], None) == [base, unknown]


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
def test_what_is_wrong_is_reported(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_policy(text)
