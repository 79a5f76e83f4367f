"""Values of rows that a report must not show."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from slipway.comparison.compare import compare_relations
from slipway.comparison.masking import masked, with_field, without_rows
from slipway.comparison.report import make_report
from slipway.comparison.results import ColumnComparison, Coverage, Example, Method, Segment, TableComparison
from slipway.comparison.text_report import to_markdown, to_text
from slipway.contracts.classification import Classifications
from slipway.governance.classified_columns import classifications_of

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


def hiding(*names: str, word: str = "confidential") -> Classifications:
    return Classifications(dict.fromkeys(names, frozenset((word,))))


def test_names_come_from_contracts_and_from_the_yaml_of_models(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "people.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
    columns = {"Phone": {"config": {"meta": {"classification": "restricted"}}}, "age": {"meta": {}}}
    described = {"nodes": {"model.a.people": {"columns": columns}}}
    assert classifications_of(tmp_path, described).hidden == {"mail", "phone"}
    assert classifications_of(tmp_path, None).hidden == {"mail"}
    assert classifications_of(tmp_path, described, show_classified=True).hidden == set()


def test_the_stricter_of_two_classifications_of_a_name_counts(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    for name, given in (("a", "public"), ("b", "confidential"), ("c", "public")):
        text = CONTRACT.replace("classification: confidential", f"classification: {given}")
        text = text.replace("id: people", f"id: {name}")
        (tmp_path / "contracts" / f"{name}.odcs.yaml").write_text(text, encoding="utf-8")
    assert classifications_of(tmp_path, None).hidden == {"mail"}


def test_classified_values_are_in_no_report() -> None:
    found = masked(FOUND, hiding("mail", "phone"))
    (example,) = found.columns[0].examples
    assert (example.key, example.base, example.head) == ({"mail": "***", "town": "York"}, "***", None)
    assert found.added_examples == ({"mail": "***", "town": "Bath"},)
    assert found.removed_examples == ({"mail": None, "town": "Bath"},)
    assert (FOUND.hidden, found.hidden) == ((), ("Phone", "mail"))
    report = make_report([found])
    for text in (to_text(report), to_markdown(report), report.model_dump_json()):
        assert "a.example" not in text
        assert "0123" not in text
        assert "of classified columns are hidden: Phone, mail; --show-classified" in text


def test_without_rows_there_are_only_numbers() -> None:
    found = without_rows(FOUND)
    assert (found.columns[0].examples, found.added_examples, found.removed_examples) == ((), (), ())
    assert found.columns[0].matching == 1


def test_what_is_nested_is_masked_by_the_names_of_its_fields() -> None:
    person, people = "{'Mail': ada@a.example, 'town': York}", '[{"mail": "ada@a.example"}]'
    examples = (Example(key={"person": person}, base=person, head="{'town': Bath}"),)
    column = ColumnComparison(name="person", type="STRUCT", compared=1, matching=0, examples=examples)
    found = masked(
        FOUND.model_copy(update={"columns": (column,), "added_examples": ({"people": people},)}),
        hiding("mail"),
    )
    (example,) = found.columns[0].examples
    assert (example.key, example.base, example.head) == ({"person": "***"}, "***", "{'town': Bath}")
    assert found.added_examples == ({"people": "***"},)


@pytest.mark.parametrize(
    "value",
    [
        "{'Mail': 'a', 'town': 'b'}",
        "[{'town': 'b', 'mail': 'a'}]",
        "map {'mail': 'a'}",
        """'{"town": "b", "mail":"a"}'""",
    ],
    ids=["struct", "list", "map", "json"],
)
def test_a_nested_field_is_found_in_what_duckdb_writes(value: str) -> None:
    """By SQL, and in the text of an example."""
    with duckdb.connect() as con:
        for names, is_there in (({"mail"}, True), ({"ail", "b"}, False)):
            (found,) = (
                con.execute(f"select {with_field('v', names)} from (select {value} as v)").fetchone() or ()
            )
            assert found is is_there
            (text,) = con.execute(f"select {value}::varchar").fetchone() or ()
            shown = masked(FOUND.model_copy(update={"added_examples": ({"v": text},)}), hiding(*names))
            assert (shown.added_examples[0]["v"] == "***") is is_there


@pytest.mark.parametrize(
    ("rows", "word", "is_shown"),
    [
        (9, "internal", False),
        (10, "internal", True),
        (10, "confidential", False),
        (5_000, "personal", False),
        (9, "public", True),
    ],
)
def test_no_value_can_be_worked_out_from_a_sum_or_a_change(rows: int, word: str, is_shown: bool) -> None:
    """An absolute and a relative change of one value are that value."""
    base, head = (
        f"(select i as id, {pay} as pay, 1.0 * i * {pay} as tip from range({rows}) t(i))"
        for pay in (200, 500)
    )
    with duckdb.connect() as con:
        found = compare_relations(con, "serving.people", base, head, ["id"])
    assert found.columns[0].largest_relative_change == 1.5
    hidden = masked(found, hiding("pay", word=word))
    pay, tip = hidden.columns
    if word != "public":
        assert (pay.largest_absolute_change, pay.largest_relative_change) == (None, None)
        assert hidden.hidden == ("pay",)
    assert tip.largest_relative_change == 1.5
    assert [one.column for one in hidden.effects] == (["pay", "tip"] if is_shown else ["tip"])
    for text in (to_text(make_report([hidden])), to_markdown(make_report([hidden]))):
        assert ("change 300 (150 %)" in text) is (word == "public")


def test_a_masked_range_says_so() -> None:
    only = FOUND.model_copy(update={"columns": (), "added_examples": (), "removed_examples": ()})
    assert masked(only, hiding("mail")).hidden == ("mail",)
