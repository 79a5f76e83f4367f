"""The diagram of a change: as much as one can read, and no name in it is read as a command."""

from __future__ import annotations

from slipway.ci.lineage_diagram import MOST, diagram
from slipway.comparison.results import Coverage, Method, RowCounts, Side, TableComparison, judge
from slipway.releases.rollback_rules import Exposure


def table(name: str, *, edited: bool = False, added: int = 0) -> TableComparison:
    found = TableComparison(
        name=name,
        coverage=Coverage(method=Method.KEY, key=("id",), columns=("id",)),
        base=Side(rows=1),
        head=Side(rows=1 + added),
        rows=RowCounts(identical=1, added=added),
    )
    return judge(found).model_copy(update={"edited": edited})


def test_tables_their_parents_and_their_readers() -> None:
    tables = [table("serving.b", added=1), table("curated.a", edited=True, added=1), table("serving.c")]
    parents = {"serving.b": {"curated.a", "curated.elsewhere"}, "serving.c": {"serving.b"}}
    lines = diagram(tables, parents, [Exposure("sales", "dashboard", "Ada", ("serving.b",))])
    assert [line.strip() for line in lines[:8]] == [
        "flowchart LR",
        't0[["curated.a"]]:::failing',
        't1["serving.b"]:::failing',
        't2["serving.c"]:::same',
        "t0 --> t1",
        "t1 --> t2",
        'e0(["dashboard sales"]):::reader',
        "t1 --> e0",
    ]


def test_a_long_change_is_cut_and_says_so() -> None:
    tables = [table(f"serving.t{number:03d}", added=1) for number in range(100)]
    readers = [Exposure(f"r{number}", "notebook", "", ("serving.t000",)) for number in range(50)]
    lines = diagram(tables, {}, readers)
    drawn = [line for line in lines if ":::" in line]
    assert len(drawn) == MOST
    assert sum(":::reader" in line for line in drawn) == 10
    assert f'    more["{150 - MOST} more"]' in lines


def test_a_name_is_only_a_name() -> None:
    lines = diagram([table('serving.a"]; click t0 "javascript:alert(1)'), table("serving.<b>")], {}, [])
    assert '    t1["serving.a#34;#93;#59; click t0 #34;javascript#58;alert#40;1#41;"]:::same' in lines
    assert '    t0["serving.#60;b#62;"]:::same' in lines
