"""No text of others steers a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.secrets import one_line, visible


@given(st.text())
def test_what_is_shown_on_a_line_has_no_sign_that_is_not_shown(text: str) -> None:
    shown = one_line(text)
    assert not any(unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cs") for sign in shown)
    assert not any(
        unicodedata.bidirectional(sign) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for sign in shown
    )
    assert shown.splitlines() == ([shown] if shown else [])
    assert one_line(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Mn", "Zs"])))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert one_line(text) == visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("ok\rFAILED", "ok\\rFAILED"),
        ("\x9b2J", "\\x9b2J"),
        ("a\x07\x08", "a\\x07\\x08"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("a\u2028b", "a\\u2028b"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_steering_signs_are_spelled_out(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_lines_stay_lines_where_they_are_meant() -> None:
    assert visible("a\n\tb\x1b") == "a\n\tb\\x1b"
