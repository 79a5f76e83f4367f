"""What dbt leaves out of a project is said, and nothing is published meanwhile: it warns of it at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

TEST = "tests/dbt/heavy_enough.sql"
HEAVY = "models/serving/heavy.sql"
MODELS = "models/_models.yml"


def status(workshop: Workshop) -> str:
    found: str = next(
        test["status"]
        for test in workshop.manifests()[-1]["tests"]["results"]
        if "heavy_enough" in test["unique_id"]
    )
    return found


def test_a_test_of_a_model_that_is_not_there(workshop: Workshop) -> None:
    """It is refused until the model is there, and then it is run, although its own file has not changed."""
    workshop.write(TEST, "select * from {{ ref('heavy') }} where kg < 1\n")
    for command in (("slipway", "run"), ("slipway", "run"), ("dbt", "build")):
        done = workshop.start(*command[1:], program=command[0]).wait()
        assert done.code, done
        said = " ".join((done.out + done.err).split())
        assert "Test heavy_enough is not run, because it reads heavy, which is not there." in said, done
        assert not workshop.published()
    workshop.write(HEAVY, "select * from {{ ref('weights') }} where kg > 2\n")
    assert workshop.slipway("run").code == 0
    assert status(workshop) == "pass"


def test_a_test_that_dbt_goes_on_to_leave_out(workshop: Workshop) -> None:
    """The parse that dbt saved goes on without it, also when its model has come back."""
    workshop.write(TEST, "select * from {{ ref('heavy') }} where kg < 1\n")
    workshop.dbt("parse")
    workshop.write(HEAVY, "select * from {{ ref('weights') }} where kg > 2\n")
    workshop.dbt("parse")
    said = workshop.refusal("run", code=2)
    assert "Test heavy_enough has not been run since something that it reads was missing" in said
    assert "Run the command again" in said
    assert workshop.slipway("run").code == 0
    assert status(workshop) == "pass"


def test_yaml_of_a_model_that_is_not_there(workshop: Workshop) -> None:
    """Its data tests would not be run, and its contract not be enforced."""
    workshop.edit(MODELS, "- name: depot_weights\n", "- name: depot_weight\n")
    said = workshop.refusal("run", code=2)
    assert "dbt leaves out 1 part of the project" in said
    assert (
        "The YAML of model depot_weight and its data tests have no effect, because there is no such model. Is depot_weights meant?"
        in said
    )
    assert not workshop.published()


@pytest.mark.parametrize(
    "configured", ["{{ config(enabled=false) }}\n", "{{ config(enabled=var('strict', false)) }}\n"]
)
def test_what_is_disabled_on_purpose_is_left_out_silently(workshop: Workshop, configured: str) -> None:
    """Also the tests of a model that is disabled."""
    workshop.write(TEST, f"{configured}select * from {{{{ ref('heavy') }}}}\n")
    workshop.write("models/serving/unused.sql", "{{ config(enabled=false) }}\nselect 1 as one\n")
    workshop.write(
        "models/serving/_unused.yml",
        "models:\n  - name: unused\n    columns: [{name: one, data_tests: [unique]}]\n",
    )
    assert workshop.slipway("run").code == 0
    assert workshop.slipway("check").code == 0
