from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from slipway.comparison.html_report import to_html
from slipway.comparison.policy import ExpectedChange
from slipway.comparison.report import ComparisonReport, make_report, to_dict
from slipway.comparison.results import (
    ColumnComparison,
    Coverage,
    Example,
    Method,
    RowCounts,
    SchemaChanges,
    Segment,
    Side,
    TableComparison,
    judge,
    not_compared,
)
from slipway.comparison.style import Style
from slipway.comparison.table_differences import largest_change, match_rate
from slipway.comparison.text_report import to_markdown, to_text

GITHUB_COMMENT = 65_536

IDENTICAL = TableComparison(
    name="curated.lines",
    coverage=Coverage(
        method=Method.KEY, key=("id",), columns=("id", "price"), not_compared={"_run_id": "ignored"}
    ),
    base=Side(rows=1200),
    head=Side(rows=1200),
    rows=RowCounts(identical=1200),
    columns=(ColumnComparison(name="price", type="DOUBLE", compared=1200, matching=1200, match_rate=1.0),),
)
CHANGED = IDENTICAL.model_copy(
    update={
        "name": "serving.prices",
        "head": Side(rows=1201),
        "rows": RowCounts(added=1, changed=12, within_tolerance=3, identical=1185),
        "columns": (
            ColumnComparison(
                name="price",
                type="DOUBLE",
                compared=1200,
                matching=1185,
                within_tolerance=3,
                match_rate=1185 / 1200,
                base_nulls=1,
                head_nulls=2,
                largest_absolute_change=3.5,
                largest_relative_change=0.25,
                examples=(
                    Example(key={"id": "7"}, base="14.0", head="17.5"),
                    Example(key={"id": "8"}, base="1.0", head=None),
                ),
            ),
        ),
        "added_examples": ({"id": "1201"},),
        "segments": (Segment(column="city", value="York", rows=11, of_rows=13, table_share=0.05),),
    }
)


def report(*tables: TableComparison, expected: tuple[ExpectedChange, ...] = ()) -> ComparisonReport:
    judged = [judge(table, expected) for table in tables]
    return make_report(
        judged, title="Canary", base="main", head="working tree", context={"slice": "one week"}
    )


def test_text_says_all_of_it() -> None:
    rows = [ExpectedChange(reason="a new shop", rows=("added",))]
    tables = [judge(IDENTICAL), judge(CHANGED, rows), not_compared("curated.broken", "no such table")]
    text = to_text(make_report(tables, title="Canary", base="main", head="working tree"))
    assert (
        text
        == """\
Canary: failed, 1 table differs, 0 declared, 1 table could not be compared; 3 tables (1 different, 1 not compared, 1 identical)
base main · head working tree

table           verdict       rows base → head  added  removed           changed  identical  worst column
serving.prices  different        1,200 → 1,201      1        0  12 + 3 tolerated      1,185  price 98.75 % match, largest change 3.5 (25 %)
curated.broken  not compared             - → -      -        -                 -          -  no such table
curated.lines   identical        1,200 → 1,200      0        0                 0      1,200

serving.prices
  expected (a new shop): 1 row added
    id 1201
  not explained: 12 of 1,200 values of price differ (98.75 % match, largest change 3.5 (25 %)), NULLs 1 (0.083 %) → 2 (0.17 %)
    id 7: 14.0 → 17.5
    id 8: 1.0 → NULL
  price: 3 within tolerance
  11 of 13 differing rows have city = York, which 5 % of all rows have (lift 17)

Coverage: 2 of 3 tables compared (2 by key)
  curated.broken: no such table
  ignored columns: _run_id in 2 tables
"""
    )


@pytest.mark.parametrize(
    ("tables", "expected", "line"),
    [
        pytest.param(
            (), (), "Canary: failed, nothing was compared: no table was built on either side", id="nothing"
        ),
        pytest.param((IDENTICAL,), (), "Canary: passed, 1 table (1 identical)", id="identical"),
        pytest.param(
            (IDENTICAL, CHANGED),
            (ExpectedChange(reason="new rule"),),
            "Canary: passed, 2 tables (1 explained, 1 identical)",
            id="explained",
        ),
        pytest.param(
            (not_compared("t", "no such table"),),
            (),
            "Canary: failed, 1 table could not be compared; 1 table (1 not compared)",
            id="not-compared",
        ),
        pytest.param(
            (CHANGED, CHANGED.model_copy(update={"name": "serving.more"}), IDENTICAL),
            (),
            "Canary: failed, 2 tables differ, 0 declared; 3 tables (2 different, 1 identical)",
            id="different",
        ),
    ],
)
def test_headline(
    tables: tuple[TableComparison, ...], expected: tuple[ExpectedChange, ...], line: str
) -> None:
    made = report(*tables, expected=expected)
    assert to_text(made).splitlines()[0] == line
    assert to_markdown(made).splitlines()[0] == f"### {line}"
    assert "Coverage: " in to_text(made)
    assert "Coverage: " in to_markdown(made)


def test_json_is_versioned_whole_and_readable_again() -> None:
    made = report(IDENTICAL, CHANGED)
    written = json.dumps(to_dict(made), allow_nan=False)
    assert ComparisonReport.model_validate_json(written) == made
    fields = json.loads(written)
    assert list(fields) == [
        "schema_version",
        "title",
        "found",
        "base",
        "head",
        "context",
        "remarks",
        "packages",
        "sample",
        "passed",
        "tests",
        "costs",
        "tables",
    ]
    assert (fields["schema_version"], fields["passed"]) == (1, False)
    assert list(fields["tables"][0]) == [
        "name",
        "coverage",
        "base",
        "head",
        "schema_changes",
        "rows",
        "columns",
        "added_examples",
        "removed_examples",
        "segments",
        "effects",
        "drifts",
        "moves",
        "verdict",
        "differences",
        "notes",
        "edited",
        "because_of",
        "origins",
        "was",
        "was_declared",
        "hidden",
    ]
    assert fields["tables"][0]["verdict"] == "different"
    assert fields["tables"][0]["differences"][0] == {
        "kind": "rows_added",
        "detail": "1 row added",
        "column": None,
        "explained_by": None,
        "propagates": False,
        "because_of": [],
    }


def test_cost_is_shown_where_it_is_known() -> None:
    base = CHANGED.base.model_copy(update={"seconds": 1.5, "bytes": 2048})
    head = CHANGED.head.model_copy(update={"seconds": 2.25, "bytes": 3 * 2**20})
    costly = CHANGED.model_copy(update={"base": base, "head": head})
    text = to_text(report(costly))
    assert text.count("built in 1.5 s → 2.2 s, 2.0 KiB → 3.0 MiB") == 2
    # With the cost of one table unknown there is no total, only the line of the other table.
    assert to_text(report(costly, IDENTICAL)).count("built in") == 1
    assert "built in" not in to_text(report(CHANGED))


hostile_texts = st.text(alphabet="ab|`\\*_[]()<>&#~!\n\t\r\x85\u2028 é-+1.=", min_size=1, max_size=80)


def hostile(text: str) -> TableComparison:
    """A table in which every name and value is the given text."""
    column = ColumnComparison(
        name=text,
        type="VARCHAR",
        compared=2,
        matching=1,
        match_rate=0.5,
        examples=(Example(key={text: text}, base=text, head=text),),
    )
    return TableComparison(
        name=text,
        coverage=Coverage(method=Method.KEY, key=(text,), columns=(text,), notes=(text,)),
        base=Side(rows=2),
        head=Side(rows=3),
        schema_changes=SchemaChanges(added={text: text}),
        rows=RowCounts(changed=1, identical=1, added=1),
        columns=(column,),
        added_examples=({text: text},),
        segments=(Segment(column=text, value=text, rows=2, of_rows=2, table_share=0.1),),
    )


@given(text=hostile_texts)
def test_no_value_breaks_the_markdown(text: str) -> None:
    made = report(hostile(text), expected=(ExpectedChange(reason=f"x{text}", rows=("added",)),))
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(to_markdown(made))
    kinds = [token.type for token in tokens]
    # One table of a heading line and one row, eight cells each; no heading, link or HTML but our own.
    assert (kinds.count("table_open"), kinds.count("th_open"), kinds.count("td_open")) == (1, 8, 8)
    assert kinds.count("heading_open") == 1
    inner = {child.type for token in tokens for child in token.children or ()}
    assert inner <= {"text", "code_inline", "strong_open", "strong_close", "text_special", "softbreak"}
    html = [token.content for token in tokens if token.type == "html_block"]
    assert [block.splitlines()[0] for block in html] == ["<details>", "</details>"] * 2
    assert all(len(block.splitlines()) <= 2 for block in html)


@given(text=hostile_texts)
def test_no_value_breaks_the_lines_of_the_text(text: str) -> None:
    assert len(to_text(report(hostile(text))).splitlines()) == len(to_text(report(hostile("a"))).splitlines())


def test_a_long_run_fits_a_comment_and_says_what_it_leaves_out() -> None:
    wide = "w" * 200
    worst = [
        hostile(f"serving.{wide}{n:03}").model_copy(
            update={"columns": tuple(hostile(f"{wide}{column}").columns[0] for column in range(40))}
        )
        for n in range(80)
    ]
    same = [IDENTICAL.model_copy(update={"name": f"curated.t{n}"}) for n in range(20)]
    markdown = to_markdown(report(*worst, *same))
    assert len(markdown) < GITHUB_COMMENT
    assert "30 tables more: see the JSON report." in markdown
    assert re.search(r"What differs in \d+ tables more: see the JSON report\.", markdown)
    assert "- 61 more: see the JSON report" in markdown
    assert "identical: `curated.t0`, `curated.t1`, `curated.t10`" in markdown


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        pytest.param(None, "-", id="nothing-compared"),
        pytest.param(1.0, "100 %", id="all"),
        pytest.param(0.999999, "99.99 %", id="never-rounded-up"),
        pytest.param(0.5, "50 %", id="half"),
        pytest.param(0.00001, "< 0.01 %", id="hardly-any"),
        pytest.param(0.0, "0 %", id="none"),
    ],
)
def test_match_rate(rate: float | None, shown: str) -> None:
    assert match_rate(rate) == shown


@pytest.mark.parametrize(
    ("absolute", "relative", "unit", "shown"),
    [
        pytest.param(None, None, None, "", id="no-distance"),
        pytest.param(1e-10, 1e-12, None, "largest change 1e-10 (1e-10 %)", id="tiny"),
        pytest.param(1234567.89, 0.5, None, "largest change 1,234,568 (50 %)", id="large"),
        pytest.param(1e300, None, None, "largest change 1e+300", id="huge"),
        pytest.param(2.0, None, "days", "largest change 2 days", id="days"),
        pytest.param(5.0, 123.0, None, "largest change 5 (12,300 %)", id="many-times"),
    ],
)
def test_largest_change(absolute: float | None, relative: float | None, unit: str | None, shown: str) -> None:
    column = ColumnComparison(
        name="x",
        type="DOUBLE",
        compared=1,
        matching=0,
        largest_absolute_change=absolute,
        largest_relative_change=relative,
        unit=unit,
    )
    assert largest_change(column) == shown


@pytest.mark.parametrize(
    ("text", "markdown", "plain"),
    [
        pytest.param(None, "NULL", "NULL", id="null"),
        pytest.param("", "''", "''", id="empty"),
        pytest.param("a|b", "`a\\|b`", "a|b", id="pipe"),
        pytest.param("`a`", "`` `a` ``", "`a`", id="backticks"),
        pytest.param("a\nb\tc", "`a b c`", "a b c", id="lines"),
        pytest.param("x" * 61, "`" + "x" * 59 + "…`", "x" * 59 + "…", id="long"),
    ],
)
def test_values(text: str | None, markdown: str, plain: str) -> None:
    assert Style(markdown=True).value(text) == markdown
    assert Style(markdown=False).value(text) == plain


EMPTY = IDENTICAL.model_copy(
    update={"name": "serving.empty", "base": Side(rows=0), "head": Side(rows=0), "rows": RowCounts()}
)


def test_nothing_compared_is_reported_first() -> None:
    nothing = report(EMPTY, EMPTY.model_copy(update={"name": "serving.also"}))
    assert not nothing.passed
    reason = "failed, nothing was compared: 2 tables without a row on either side"
    assert to_text(nothing).startswith(f"Canary: {reason}")
    assert to_markdown(nothing).startswith(f"### Canary: {reason}")
    assert "Coverage: 0 of 2 tables compared, no evidence of 2 without a row on either side" in to_text(
        nothing
    )


def test_an_empty_snapshot_that_both_sides_have_is_called_empty() -> None:
    same = EMPTY.model_copy(update={"name": "quarantine.same", "coverage": Coverage(method=Method.SNAPSHOT)})
    some = report(same, EMPTY, IDENTICAL)
    text = to_text(some)
    assert text.startswith("Canary: passed, 3 tables (1 both empty, 1 no evidence, 1 identical)"), text
    assert "Coverage: 2 of 3 tables compared (1 the same snapshot, 1 by key), no evidence of 1 " in text
    assert not report(same).passed


def test_an_empty_table_among_others_is_no_evidence_and_no_failure() -> None:
    some = report(EMPTY, IDENTICAL)
    assert some.passed
    assert to_text(some).startswith("Canary: passed, 2 tables (1 no evidence, 1 identical)")
    assert "1 of 2 tables compared (1 by key), no evidence of 1 without a row on either side" in to_text(some)


GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = st.sampled_from(
    ["`", "``", "```", "|", "<b>", "<!--", "@ada", "#12", "https://a.example/", "www.a.example", "[x](y)", "![x](y)",
     "\\", "\n", "\r", "\x1b[31m", "\u202e", "</details>", "&lt;", "*", "_", "~~", "a@b.example", "  ", "- ", "# ", "$$"]
)  # fmt: skip


@given(st.lists(st.one_of(HOSTILE, st.text(max_size=5)), max_size=8).map("".join), st.booleans())
def test_no_text_is_read_as_markdown(text: str, value: bool) -> None:
    """One cell of a table stays one cell, with text in it or code, and nothing that GitHub acts on."""
    style = Style(markdown=True)
    written = style.value(text) if value else style.words(text)
    assert "\n" not in written
    tokens = GITHUB.parse(f"| a | b |\n| --- | --- |\n| x{written} | end |\n")
    inline = [token for token in tokens if token.type == "inline"]
    assert [token.content for token in inline][-1] == "end"
    assert len(inline) == 4
    kinds = {child.type for child in inline[2].children or []}
    assert kinds <= {"text", "code_inline", "text_special"}
    plain = "".join(child.content for child in inline[2].children or [] if child.type != "code_inline")
    assert not re.search(r"[@#]\w", plain)
    if not value:  # what GitHub takes for the beginning of a link
        assert "://" not in written
        assert "www." not in written
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)


class Page(HTMLParser):
    """The text of a page, its elements, and what they load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.elements, self.loaded = "", set[str](), list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.loaded += [
            str(value) for name, value in attrs if name in ("src", "href", "action") or name.startswith("on")
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_every_table_and_loads_nothing() -> None:
    page = Page(to_html(report(IDENTICAL, CHANGED, not_compared("curated.broken", "no such table"))))
    for shown in (
        "curated.lines",
        "What differs in serving.prices",
        "id 7: 14.0 → 17.5",
        "no such table",
        "one week",
    ):
        assert shown in page.text
    assert page.loaded == []
    assert not page.elements & {"script", "link", "img", "iframe", "form"}


@given(st.lists(st.one_of(HOSTILE, st.text(max_size=5)), max_size=8).map("".join))
def test_no_text_becomes_an_element_of_the_page(text: str) -> None:
    table = CHANGED.model_copy(update={"name": f"serving.{text}", "added_examples": ({"id": text},)})
    plain, hostile = (
        Page(to_html(make_report([judge(one)], title=title, base=title, context={"slice": title})))
        for one, title in ((CHANGED, "x"), (table, f"<script>{text}"))
    )
    assert hostile.elements == plain.elements
    assert hostile.loaded == []
