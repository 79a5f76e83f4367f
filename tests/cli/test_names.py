"""Names: refused together before anything is written, and what is allowed works in every command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

BAD = (
    ("alias='..'", "has the table name ..: only letters of ASCII"),
    ("schema='_slipway'", "has the layer name _slipway: only letters of ASCII"),
    ("schema='ops'", "has the layer name ops: the name is reserved"),
    ("schema='temp'", "has the layer name temp: the name is reserved"),
    ("schema='information_schema'", "has the layer name information_schema: the name is reserved"),
    ("alias='größe'", "call it grosse (config alias)"),
    ("alias='a\\u202eb'", r"has the table name 'a\u202eb'"),
    (f"alias='{'x' * 121}'", "it has 129 characters, and 128 are allowed; give it a shorter alias"),
    ("alias='Twin'", ""),
    ("alias='twin'", "serving.twin differ only in upper and lower case"),
    ("database='ci'", "has database ci: tables of a run go to the database of its target, dev"),
)


def test_names_are_refused_together_before_anything_is_written(workshop: Workshop) -> None:
    workshop.write("models/serving/stg.orders.sql", "select 1 as n")
    for number, (config, _) in enumerate(BAD):
        workshop.write(f"models/serving/bad_{number}.sql", f"{{{{ config({config}) }}}} select 1 as n")
    workshop.write("models/loose.sql", "select 1 as n")
    line = workshop.refusal("run", code=2)
    assert "12 names of the project cannot be used" in line
    layer = "for example models: {parcels: {+schema: curated}}"
    assert (
        f"model loose (models/loose.sql) has no layer: configure its schema in dbt_project.yml, {layer}"
        in line
    )
    assert "model stg.orders (models/serving/stg.orders.sql) has the table name stg.orders" in line
    assert "call it stg_orders" in line
    assert [expected for _, expected in BAD if expected not in line] == []
    assert not list(workshop.home.rglob("*.parquet"))
    assert not list(workshop.home.rglob("*.metadata.json"))
    assert "12 names of the project cannot be used" in workshop.dbt("build", code=2)


@pytest.mark.long
def test_what_is_allowed_works_in_every_command(workshop: Workshop) -> None:
    """A layer with the name of the target, reserved words, hyphens, digits in front, and the longest name."""
    long = "t" * (128 - len("dev."))
    names = ("order", "2024-rates", "Foo", long)
    for number, name in enumerate(names):
        config = f"{{{{ config(schema='dev', alias='{name}') }}}}"
        text = f"{config} select 1 as \"größe °C\", parcel from {{{{ ref('weights') }}}}"
        workshop.write(f"models/serving/odd_{number}.sql", text)
    workshop.run()
    for number, name in enumerate(names):
        workshop.edit(f"models/serving/odd_{number}.sql", "select 1 as", "select 2 as")
        assert f"dev.{name}" in workshop.locations()
    workshop.run("--select", "odd_0", "odd_1", "odd_2", "odd_3")
    for name in names:
        for relation in (f'dev."{name}"', f'dev.dev."{name}"', f'"DEV"."{name}"'):
            message = workshop.answer(
                "sql", f'select distinct "größe °C" as n from {relation}', "--output", "json"
            )
            assert json.loads(message) == [{"n": 2}], relation
        assert f"dev.{name}" in workshop.answer("show", f"dev.{name}")
    assert "dev.order" in workshop.answer("sql", "show tables", "--output", "csv").replace(",", ".")
    workshop.answer("rollback", "--yes")
    message = workshop.answer("sql", 'select distinct "größe °C" as n from dev."order"', "--output", "json")
    assert json.loads(message) == [{"n": 1}]
    workshop.answer("maintain", "--older-than", "1h")
    workshop.answer("doctor")
