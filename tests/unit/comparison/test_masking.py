"""Values of rows that a report must not show."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from slipway.comparison.compare import compare_relations
from slipway.comparison.masking import classified_names, has_masked, masked, without_rows
from slipway.comparison.report import make_report, to_markdown, to_text
from slipway.comparison.results import ColumnComparison, Coverage, Example, Method, Segment, TableComparison

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: people
version: 1.0.0
status: active
schema:
  - name: people
    physicalName: serving.people
    properties:
      - {name: mail, logicalType: string, physicalType: VARCHAR, classification: confidential}
      - {name: town, logicalType: string, physicalType: VARCHAR, classification: public}
"""
FOUND = TableComparison(
    name="serving.people",
    coverage=Coverage(method=Method.KEY, key=("mail",)),
    columns=(
        ColumnComparison(
            name="Phone",
            type="VARCHAR",
            compared=2,
            matching=1,
            examples=(Example(key={"mail": "ada@a.example", "town": "York"}, base="0123", head=None),),
        ),
    ),
    added_examples=({"mail": "bob@a.example", "town": "Bath"},),
    removed_examples=({"mail": None, "town": "Bath"},),
    segments=(Segment(column="mail", value="ada@a.example", rows=9, of_rows=10, table_share=0.1),),
)


def test_names_come_from_contracts_and_from_the_yaml_of_models(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "people.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
    columns = {"Phone": {"config": {"meta": {"classification": "restricted"}}}, "age": {"meta": {}}}
    assert classified_names(tmp_path, {"nodes": {"model.a.people": {"columns": columns}}}) == {
        "mail",
        "phone",
    }
    assert classified_names(tmp_path, None) == {"mail"}


def test_the_stricter_of_two_classifications_of_a_name_counts(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    for name, given in (("a", "public"), ("b", "confidential"), ("c", "public")):
        text = CONTRACT.replace("classification: confidential", f"classification: {given}")
        text = text.replace("id: people", f"id: {name}")
        (tmp_path / "contracts" / f"{name}.odcs.yaml").write_text(text, encoding="utf-8")
    assert classified_names(tmp_path, None) == {"mail"}


def test_classified_values_are_in_no_report() -> None:
    found = masked(FOUND, {"mail", "phone"})
    (example,) = found.columns[0].examples
    assert (example.key, example.base, example.head) == ({"mail": "***", "town": "York"}, "***", None)
    assert found.added_examples == ({"mail": "***", "town": "Bath"},)
    assert found.removed_examples == ({"mail": None, "town": "Bath"},)
    assert (has_masked(FOUND), has_masked(found)) == (False, True)
    report = make_report([found])
    for text in (to_text(report), to_markdown(report), report.model_dump_json()):
        assert "a.example" not in text
        assert "0123" not in text


def test_without_rows_there_are_only_numbers() -> None:
    found = without_rows(FOUND)
    assert (found.columns[0].examples, found.added_examples, found.removed_examples) == ((), (), ())
    assert found.columns[0].matching == 1


def test_what_is_nested_is_masked_by_the_names_of_its_fields() -> None:
    person, people = "{'Mail': ada@a.example, 'town': York}", '[{"mail": "ada@a.example"}]'
    examples = (Example(key={"person": person}, base=person, head="{'town': Bath}"),)
    column = ColumnComparison(name="person", type="STRUCT", compared=1, matching=0, examples=examples)
    found = masked(
        FOUND.model_copy(update={"columns": (column,), "added_examples": ({"people": people},)}), {"mail"}
    )
    (example,) = found.columns[0].examples
    assert (example.key, example.base, example.head) == ({"person": "***"}, "***", "{'town': Bath}")
    assert found.added_examples == ({"people": "***"},)


@pytest.mark.parametrize(("rows", "is_told"), [(9, False), (10, True)])
def test_no_value_can_be_worked_out_from_a_sum_or_a_change(rows: int, is_told: bool) -> None:
    """An absolute and a relative change of one value are that value."""
    base, head = (
        f"(select i as id, {pay} as pay, 1.0 * i * {pay} as tip from range({rows}) t(i))"
        for pay in (200, 500)
    )
    with duckdb.connect() as con:
        found = compare_relations(con, "serving.people", base, head, ["id"])
    assert found.columns[0].largest_relative_change == 1.5
    hidden = masked(found, {"pay"})
    pay, tip = hidden.columns
    assert (pay.largest_absolute_change, pay.largest_relative_change) == (None, None)
    assert tip.largest_relative_change == 1.5
    assert [one.column for one in hidden.effects] == (["pay", "tip"] if is_told else ["tip"])
    for text in (to_text(make_report([hidden])), to_markdown(make_report([hidden]))):
        assert "change 300 (150 %)" not in text


def test_a_range_that_is_masked_is_said_to_be() -> None:
    only = FOUND.model_copy(update={"columns": (), "added_examples": (), "removed_examples": ()})
    assert (has_masked(only), has_masked(masked(only, {"mail"}))) == (False, True)
