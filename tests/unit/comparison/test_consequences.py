"""Edited tables, and those that differ because of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from slipway.comparison.consequences import other_code, parents_of, with_origins
from slipway.comparison.policy import ExpectedChange
from slipway.comparison.report import groups, make_report
from slipway.comparison.results import (
    ColumnComparison,
    Coverage,
    Method,
    RowCounts,
    Side,
    TableComparison,
    Verdict,
    judge,
    passed,
)
from slipway.comparison.text_report import to_text
from slipway.governance.column_lineage import TableLineage


def compared(name: str, *, differs: bool = True, new: bool = False) -> TableComparison:
    return judge(
        TableComparison(
            name=name,
            coverage=Coverage(method=Method.KEY),
            base=Side(exists=not new, rows=5),
            head=Side(rows=5),
            rows=RowCounts(added=int(differs), identical=5),
        )
    )


PARENTS = {
    "curated.lines": {"raw.shop"},
    "serving.daily": {"curated.lines"},
    "serving.monthly": {"serving.daily", "reference.rates"},
    "serving.other": {"curated.quiet"},
}


def test_differences_are_followed_to_the_tables_that_brought_them() -> None:
    tables = [
        compared("raw.shop", differs=False),
        compared("curated.lines"),
        compared("serving.daily"),
        compared("serving.monthly"),
        compared("reference.rates"),
        compared("serving.other"),
        compared("serving.new", new=True),
    ]
    found = {one.name: one for one in with_origins(tables, PARENTS, {"curated.lines"})}
    assert [name for name, one in found.items() if one.edited] == ["curated.lines", "serving.new"]
    assert found["serving.daily"].because_of == ("curated.lines",)
    assert found["serving.monthly"].because_of == ("curated.lines", "reference.rates")
    assert found["serving.other"].because_of == ()
    assert found["raw.shop"].verdict is Verdict.IDENTICAL
    assert [title for title, _ in groups(list(found.values()))] == [
        "edited",
        "not edited: other data",
        "follows from curated.lines",
        "follows from curated.lines, reference.rates",
        "no difference",
    ]


def valued(name: str, *columns: str, differ: tuple[str, ...], added: int = 0) -> TableComparison:
    """A table with a key, of which some columns differ in a row."""
    return judge(
        TableComparison(
            name=name,
            coverage=Coverage(method=Method.KEY, key=("id",)),
            base=Side(rows=5),
            head=Side(rows=5 + added),
            rows=RowCounts(added=added, changed=1, identical=4),
            columns=tuple(
                ColumnComparison(name=one, type="BIGINT", compared=5, matching=5 - (one in differ))
                for one in columns
            ),
        )
    )


SUMS = TableLineage(
    table="serving.daily",
    parents=["curated.lines", "curated.rates"],
    columns={
        "id": {"curated.lines": ["day"]},
        "paid": {"curated.lines": ["price"]},
        "rated": {"curated.lines": ["price"], "curated.rates": ["rate"]},
    },
    rows={"curated.lines": ["day"], "curated.rates": ["day"]},
)
READ = {"serving.daily": {"curated.lines", "curated.rates"}, "serving.late": {"serving.daily"}}


@pytest.mark.parametrize(
    ("lines", "rates", "expected"),
    [
        (("price",), (), {"paid": ("curated.lines",), "rated": ("curated.lines",)}),
        ((), ("rate",), {"paid": (), "rated": ("curated.rates",)}),
        (("town",), ("rate",), {"paid": (), "rated": ("curated.rates",)}),
        (("DAY",), ("note",), {"paid": ("curated.lines",), "rated": ("curated.lines",)}),
        (("town",), ("note",), {"paid": (), "rated": ()}),
    ],
    ids=["a column of both", "of one", "next to one that nothing reads", "of a group", "that nothing reads"],
)
def test_column_lineage_decides_what_a_difference_follows_from(
    lines: tuple[str, ...], rates: tuple[str, ...], expected: dict[str, tuple[str, ...]]
) -> None:
    tables = [valued("serving.daily", "id", "paid", "rated", differ=("paid", "rated"))]
    tables += [valued("curated.lines", "price", "town", "DAY", differ=lines)] if lines else []
    tables += [valued("curated.rates", "rate", "note", differ=rates)] if rates else []
    found, *_ = with_origins(tables, READ, {"curated.lines", "curated.rates"}, (), {"serving.daily": SUMS})
    assert {one.column: one.because_of for one in found.differences} == expected
    assert found.because_of == tuple(sorted({name for names in expected.values() for name in names}))
    assert found.origins == "decided by column lineage"


def test_rows_that_come_may_change_every_column() -> None:
    tables = [
        valued("serving.daily", "id", "paid", differ=("paid",)),
        valued("curated.lines", "town", differ=("town",), added=1),
    ]
    found, _ = with_origins(tables, READ, {"curated.lines"}, (), {"serving.daily": SUMS})
    assert found.because_of == ("curated.lines",)


def test_without_lineage_tables_decide_and_that_is_reported() -> None:
    tables = [
        valued("serving.daily", "id", "paid", differ=("paid",)),
        valued("curated.lines", "town", differ=("town",)),
    ]
    unknown = TableLineage(table="serving.daily", parents=["curated.lines"], unknown="it is a Python model")
    for lineage, why in (({}, "it is not recorded"), ({"serving.daily": unknown}, "it is a Python model")):
        found, _ = with_origins(tables, READ, {"curated.lines"}, (), lineage)
        assert found.because_of == ("curated.lines",)
        assert found.origins == f"decided by tables, because the column lineage is not known: {why}"
        assert why in to_text(make_report([found]))


def test_an_origin_is_followed_over_tables_by_columns() -> None:
    late = TableLineage(
        table="serving.late",
        parents=["serving.daily"],
        columns={"id": {"serving.daily": ["id"]}, "double": {"serving.daily": ["paid"]}},
    )
    tables = [
        valued("serving.late", "id", "double", differ=("double",)),
        valued("serving.daily", "id", "paid", "rated", differ=("paid", "rated")),
        valued("curated.lines", "price", differ=("price",)),
        valued("curated.rates", "rate", differ=("rate",)),
    ]
    lineage = {"serving.daily": SUMS, "serving.late": late}
    found, daily, *_ = with_origins(tables, READ, {"curated.lines", "curated.rates"}, (), lineage)
    assert found.because_of == ("curated.lines",)  # not the rates, on which `double` does not depend
    assert daily.because_of == ("curated.lines", "curated.rates")


def test_a_declaration_covers_only_what_its_columns_can_have_changed() -> None:
    """`paid` does not depend on the rate whose change was declared."""
    tables = [valued("serving.daily", "id", "paid", "rated", differ=("paid", "rated"))]
    declared = judge(
        valued("curated.rates", "rate", differ=("rate",)),
        [ExpectedChange(reason="new rates", propagates=True)],
    )
    for lineage, explained in (({"serving.daily": SUMS}, ["rated"]), ({}, ["paid", "rated"])):
        found, _ = with_origins([*tables, declared], READ, {"curated.rates"}, {"serving.daily"}, lineage)
        assert [one.column for one in found.differences if one.explained_by] == explained
        assert (found.verdict is Verdict.EXPLAINED) is (len(explained) == 2)


def test_an_edited_table_below_another_is_an_origin_of_its_own() -> None:
    tables = [compared("curated.lines"), compared("serving.daily"), compared("serving.monthly")]
    found = with_origins(tables, PARENTS, {"curated.lines", "serving.daily"})
    assert [one.because_of for one in found] == [(), (), ("serving.daily",)]
    text = to_text(make_report(found))
    assert text.index("Edited\n") < text.index("curated.lines") < text.index("Follows from serving.daily\n")


def test_the_text_is_brief_about_what_follows_from_another_table() -> None:
    found = with_origins([compared("curated.lines"), compared("serving.daily")], PARENTS, {"curated.lines"})
    text = to_text(make_report(found))
    assert "curated.lines\n  not explained: 1 row added\n" in text
    assert (
        "\nserving.daily: 1 difference, 0 declared; decided by tables, because the column lineage is not known: it is not recorded\n"
        in text
    )


@pytest.mark.parametrize(("own", "follow"), [(1, 0), (1, 13), (3, 40), (30, 0), (30, 30)])
def test_the_text_fits_a_screen_and_says_what_it_leaves_out(own: int, follow: int) -> None:
    edited = [compared(f"curated.m{number}") for number in range(own)]
    parents = {f"serving.t{number}": {"curated.m0"} for number in range(follow)}
    found = with_origins([*edited, *map(compared, parents)], parents, {one.name for one in edited})
    text = to_text(make_report(found))
    assert len(text.splitlines()) <= 50
    assert "curated.m0\n  not explained: 1 row added\n" in text  # the first edited model is never left out
    assert ("Left out here: " in text) is (own + follow > 1)
    named = sum(f"{one.name}:" in text or f"\n{one.name}\n" in text for one in found)
    said = [int(number) for number in re.findall(r"(\d+) tables? more(?!: see)", text)]
    assert named + sum(said) == len(found)


def declared(name: str, *, propagates: bool, rows: str = "added") -> TableComparison:
    change = ExpectedChange.model_validate({"rows": [rows], "reason": "postage", "propagates": propagates})
    return judge(compared(name), [change])


BELOW = ("serving.daily", "serving.monthly")


def test_a_declaration_covers_what_follows_from_it() -> None:
    tables = [declared("curated.lines", propagates=True), *map(compared, BELOW)]
    found = with_origins(tables, PARENTS, {"curated.lines"}, BELOW)
    assert [one.verdict for one in found] == [Verdict.EXPLAINED] * 3
    reasons = {difference.explained_by for one in found[1:] for difference in one.differences}
    assert reasons == {"follows from curated.lines: postage"}
    assert passed(found)


@pytest.mark.parametrize(
    ("upstream", "more", "edited", "same"),
    [
        ({"propagates": False}, (), {"curated.lines"}, BELOW),
        ({"propagates": True, "rows": "removed"}, (), {"curated.lines"}, BELOW),
        ({"propagates": True}, ("reference.rates",), {"curated.lines"}, BELOW),
        ({"propagates": True}, (), {"curated.lines", "serving.monthly"}, ("serving.daily",)),
        ({"propagates": True}, (), {"curated.lines"}, ("serving.daily",)),
    ],
    ids=["not asked for", "not declared", "another origin", "edited itself", "code is not known"],
)
def test_a_declaration_does_not_cover_more(
    upstream: dict[str, Any], more: tuple[str, ...], edited: set[str], same: tuple[str, ...]
) -> None:
    tables = [declared("curated.lines", **upstream), *map(compared, BELOW), *map(compared, more)]
    found = {one.name: one for one in with_origins(tables, PARENTS, edited, same)}
    assert found["serving.monthly"].verdict is Verdict.DIFFERENT
    assert [difference.explained_by for difference in found["serving.monthly"].differences] == [None]


def test_unknown_code_is_not_reported_as_different() -> None:
    assert other_code({"a": "1", "b": "1", "c": None}, {"a": "2", "b": "1", "c": "2", "d": "1"}) == {"a"}


def test_views_lead_to_the_tables_that_they_read() -> None:
    def node(name: str, materialized: str, *parents: str) -> dict[str, object]:
        schema, alias = name.split(".")
        config = {"materialized": materialized}
        depends_on = {"nodes": list(parents)}
        return {
            "resource_type": "model", "schema": schema, "alias": alias, "config": config, "depends_on": depends_on
        }  # fmt: skip

    nodes = {
        "m.a": node("raw.a", "incremental", "source.x.y"),
        "m.v": node("curated.v", "view", "m.a"),
        "m.e": node("curated.e", "ephemeral", "m.v"),
        "m.b": node("serving.b", "table", "m.e"),
    }
    assert parents_of({"nodes": nodes}) == {"raw.a": set(), "serving.b": {"raw.a"}}
