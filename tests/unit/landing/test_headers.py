"""What the first line of a file says against it, and what a person has to change."""

from __future__ import annotations

import pytest

from slipway.landing.formats import FileFormat, Header
from slipway.landing.headers import Names, header_of

COLUMNS = ["id", "the text", "amount"]
STYLE = FileFormat()


def message(line: str, below: str = "", style: FileFormat = STYLE) -> Names:
    return header_of(line, f"{line}\n{below}", COLUMNS, (), style)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("id,the text,amount", id="plain"),
        pytest.param('"id","the text","amount"', id="quoted"),
    ],
)
def test_the_header_may_be_written_in_several_ways(line: str) -> None:
    assert message(line) == Names(tuple(COLUMNS))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param("", "empty file", id="nothing"),
        pytest.param("  ", "empty file", id="blank"),
        pytest.param("id,amount", "header differs: missing the text", id="missing"),
        pytest.param(
            "id,the text,amount,more,and more", "header differs: unknown more, and more", id="excess"
        ),
        pytest.param("id,text,amount", "header differs: missing the text; unknown text", id="renamed"),
        pytest.param(
            "id,id,amount",
            "header differs: id twice; missing the text; each column must be in the header only once",
            id="duplicate-instead-of-another",
        ),
        pytest.param(
            "id,the text,amount,",
            "header differs: unknown a column without a name; a delimiter at the end of the header makes one: remove it",
            id="delimiter-at-the-end",
        ),
        pytest.param(
            "id,,the text,amount",
            "header differs: unknown a column without a name; name it, or remove it",
            id="no-name",
        ),
        pytest.param(
            "ID,the text,amount",
            "header differs: missing id; unknown ID; only upper and lower case",
            id="case",
        ),
        pytest.param(" id,the text,amount", "header differs: missing id; unknown  id", id="blank-in-front"),
        pytest.param(
            "amount,id,the text", "header has the columns in another order: amount, id, the text", id="order"
        ),
        pytest.param("id,id,the text,amount", "header differs: id twice; each column", id="twice"),
        pytest.param("x" * 200_000, "header cannot be read", id="endless"),
    ],
)
def test_another_header_is_reported_in_one_line(line: str, problem: str) -> None:
    found = message(line).problem
    assert found.startswith(problem)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("line", "below", "style", "advice"),
    [
        pytest.param(
            "id;the text;amount", "", STYLE, "delimited by a semicolon, which the contract's customProperty delimiter",
            id="delimiter",
        ),
        pytest.param(
            "Sales of May", "\n\nid,the text,amount\n1,a,2", STYLE, "the header is on line 4: set skipLines: 3",
            id="title",
        ),
        pytest.param(
            "Sales of May", "\nid;the text;amount\n1;a;2", STYLE,
            "the header is on line 3, delimited by a semicolon: set skipLines: 2 and delimiter", id="title-and-delimiter",
        ),
        pytest.param("ID,The Text,Amount", "", STYLE, "or set header: names", id="case"),
        pytest.param(" id , the text,amount", "", STYLE, "or set header: names", id="blanks"),
        pytest.param("1,a,2", "2,b,3", STYLE, "has 3 values and the name of no column", id="no-header"),
        pytest.param(
            "id,the text,amount", "", FileFormat(header=Header.NONE), "set header: exact", id="a-header-all-the-same"
        ),
    ],
)  # fmt: skip
def test_what_has_to_change_is_reported(line: str, below: str, style: FileFormat, advice: str) -> None:
    assert advice in message(line, below, style).problem


def test_the_header_may_be_above_where_it_is_looked_for() -> None:
    found = header_of("2,b,3", "id,the text,amount\n1,a,2\n2,b,3", COLUMNS, (), FileFormat(skip_lines=2))
    assert "the header is on line 1: set skipLines: 0" in found.problem


def test_names_may_come_in_any_order_and_case() -> None:
    style = FileFormat(header=Header.NAMES)
    assert message(" Amount,ID,The  text", style=style) == Names(("amount", "id", "the text"))
    assert message("id,ID,the text,amount", style=style).problem.startswith("header differs: id twice")


def test_a_column_may_be_missing_where_it_is_optional() -> None:
    assert header_of("id,amount", "", COLUMNS, ["the text"], STYLE) == Names(("id", "amount"))
    assert "missing amount" in header_of("id,the text", "", COLUMNS, ["the text"], STYLE).problem


def test_without_a_header_values_are_the_columns_in_order() -> None:
    assert message("1,a,2", style=FileFormat(header=Header.NONE)) == Names(tuple(COLUMNS))


def test_a_line_that_is_no_header_of_the_feed_is_not_repeated() -> None:
    found = message("root:x:0:0,hunter2,more").problem
    assert found.startswith("header differs: missing id, the text, amount; 3 unknown")
    assert "hunter2" not in found
