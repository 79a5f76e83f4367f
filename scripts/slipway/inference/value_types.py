"""What the values of columns may be: numbers, dates, truth values or text, from counts over all rows.

A type is chosen only where every value has it, and where no other reading of the same text is as likely. What would come out as another value
than the producer meant stays text: ``01234`` is a code, ``1.137`` by itself is not known to be a fraction, ``03/04/2024`` by itself has two readings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from slipway.counts import plural
from slipway.inference.moment_forms import EIGHT_DIGITS, LIKE_DAY, Moment, is_one_order, orders_of
from slipway.inference.number_forms import (
    FLOAT,
    INTEGER,
    LEADING_ZERO,
    LIKE_NUMBER,
    STYLES,
    WITH_EXPONENT,
    Marks,
    number_pattern,
    proves_decimal,
    proves_groups,
)

_MOST_DIGITS = 18  # of a 64-bit integer, and of the decimals that DuckDB computes with fastest
_MOST_SCALE = 18
_CODES = frozenset(
    [
        "zip", "zipcode", "plz", "postal", "postcode", "postleitzahl", "code", "phone", "telephone", "tel",
        "telefon", "mobile", "fax", "iban", "bic", "account", "konto", "kontonummer", "ean", "isbn", "issn", "upc",
        "gtin", "sku", "ssn", "card", "pan", "imei", "barcode", "serial", "seriennummer", "artikelnummer",
        "steuernummer", "kundennummer", "vat", "msisdn",
    ]
)  # fmt: skip
"""Words in names of columns whose digits are not counted with."""
_DAYS = frozenset(["date", "day", "datum", "tag", "dt", "on"])
NULLS = (
    "na", "n/a", "#n/a", "null", "none", "nan", "nil", "-", "--", ".", "?", "\\n", "k.a.", "(null)", "<na>",
    "<null>",
)  # fmt: skip
"""Spellings that stand for no value where every other value of a column is of another type; upper and lower case are one."""


_NO_OFFSET = "its times have no offset"
_NO_VALUE = "which may stand for no value; it stays text as it is"


@dataclass(frozen=True)
class Facts:
    """What was counted of a column over all rows; patterns do not count spellings of nothing.

    Args:
        rows: all.
        filled: with a value.
        different: values.
        shortest: characters.
        longest: characters.
        padded: values with blanks around them.
        spelled: spelling of nothing to how often it occurs.
        counts: name of a pattern to how many values match it as a whole.
        scale: mark to the most digits after it.
        whole: mark to the most digits before it.
        values: the most frequent different ones; all where there are at most a thousand.
        moments: readings as dates or times that all values have.
        kinds: types of the values that the file itself states; empty where it states none.
        nearly: the readings as dates or times that most values have, and how many, where no reading is that of all.
    """

    rows: int
    filled: int
    different: int = 0
    shortest: int = 0
    longest: int = 0
    padded: int = 0
    spelled: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    scale: Mapping[str, int] = field(default_factory=dict)
    whole: Mapping[str, int] = field(default_factory=dict)
    values: Sequence[str] = ()
    moments: Sequence[Moment] = ()
    kinds: frozenset[str] = frozenset()
    nearly: tuple[Sequence[Moment], int] | None = None

    @property
    def typed(self) -> int:
        """Values that are no spelling of nothing."""
        return self.filled - sum(self.spelled.values())

    def all_are(self, pattern: str) -> bool:
        """Whether there are values, and each matches a pattern."""
        return self.typed > 0 and self.counts.get(pattern, 0) == self.typed

    @property
    def states_numbers(self) -> bool:
        """Whether the file itself says that values are numbers; then a point is the mark of decimals."""
        return any(re.match("NUMBER|DOUBLE|FLOAT|DECIMAL|U?[A-Z]*INT", kind) for kind in self.kinds)

    @property
    def is_text_in_the_file(self) -> bool:
        """Whether the file itself says that values are text."""
        return bool(self.kinds) and not self.kinds - {"VARCHAR", "NULL"}


@dataclass(frozen=True)
class Decision:
    """The type of a column, and what of it is a guess.

    Args:
        logical_type: the standard's.
        physical_type: of DuckDB; empty where the logical type is enough.
        options: ``logicalTypeOptions``.
        null_values: spellings that stand for no value.
        guards: whether rows are set aside in which a number begins with 0.
        doubts: sentences for a person.
    """

    logical_type: str = "string"
    physical_type: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    null_values: Sequence[str] = ()
    guards: bool = False
    doubts: Sequence[str] = ()


class Conventions(NamedTuple):
    """What holds for all columns of a feed.

    Args:
        marks: of numbers.
        is_decimal_proven: whether some value can only be read with this mark of decimals.
        is_grouping_proven: whether some value can only be read with this mark between groups.
        day_first: the sign between day and month to True where a date with it can only begin with its day, False where only with its month.
        doubt: a sentence where columns contradict each other.
    """

    marks: Marks = Marks(".")
    is_decimal_proven: bool = False
    is_grouping_proven: bool = False
    day_first: Mapping[str, bool] = MappingProxyType({})
    doubt: str = ""


def conventions(columns: Sequence[Facts]) -> Conventions:
    """How numbers and dates are written in a feed, by the columns in which only one reading is possible."""
    numeric = [one for one in columns if any(one.all_are(number_pattern(style)) for style in STYLES)]
    proofs = {
        mark: sum(
            one.counts.get(proves_decimal(mark), 0) > 0
            and any(one.all_are(number_pattern(style)) for style in STYLES if style.decimal == mark)
            for one in numeric
        )
        + sum(
            one.counts.get(proves_groups(style), 0) > 0 and one.all_are(number_pattern(style))
            for one in numeric
            for style in STYLES
            if style.groups and style.decimal == mark
        )
        for mark in ".,"
    }
    proofs["."] += any(one.states_numbers for one in columns)
    mark = "," if proofs[","] > proofs["."] else "."
    groups = {
        style.groups: sum(
            one.counts.get(proves_groups(style), 0) > 0 and one.all_are(number_pattern(style))
            for one in numeric
        )
        for style in STYLES
        if style.decimal == mark and style.groups
    }
    best = max(groups, key=lambda one: groups[one])
    doubt = ""
    if proofs["."] and proofs[","]:
        doubt = f"some columns have {'commas' if mark == '.' else 'points'} where others have the mark of decimals, {mark}: those stay text"
    return Conventions(
        Marks(mark, best if groups[best] else ""),
        proofs[mark] > 0,
        groups[best] > 0,
        _day_first(columns),
        doubt,
    )


def _day_first(columns: Sequence[Facts]) -> dict[str, bool]:
    found: dict[str, set[bool]] = {}
    for one in columns:
        sign, orders = orders_of(one.moments)
        if len(orders) == 1:
            found.setdefault(sign, set()).update(orders)
    return {sign: orders.pop() for sign, orders in found.items() if len(orders) == 1}


def decide(name: str, facts: Facts, feed: Conventions) -> Decision:
    """The type of a column.

    Args:
        name: in models.
        facts: of its values.
        feed: of all columns.
    """
    if not facts.typed or facts.kinds & {"OBJECT", "ARRAY"}:
        return Decision(doubts=_of_text(facts) if facts.filled else ["no sample has a value in it"])
    found = None
    if not facts.is_text_in_the_file:
        found = _boolean(facts) or _day_of_digits(name, facts) or _code(name, facts) or _number(facts, feed)
    found = found or _moment(facts, feed) or Decision(doubts=_of_text(facts))
    if found.logical_type != "string" and facts.spelled:
        spelled, stands = (
            ", ".join(repr(one) for one in facts.spelled),
            "stands" if len(facts.spelled) == 1 else "stand",
        )
        doubts = [
            *found.doubts,
            f"{spelled} {stands} for no value (nullValues), because every other value is of the type {found.logical_type}",
        ]
        return Decision(
            found.logical_type, found.physical_type, found.options, tuple(facts.spelled), found.guards, doubts
        )
    return found


def decide_inside(name: str, facts: Facts, feed: Conventions) -> Decision:
    """The type of a value inside of an object, array or map, where nothing stands for NULL, blanks count and no rule is evaluated.

    Args:
        name: of the property; empty for items and values.
        facts: of the values.
        feed: of all columns.
    """
    found = decide(name, facts, feed)
    if found.logical_type != "string" and (facts.spelled or facts.padded or found.guards):
        why = (
            "its digits may be a code"
            if found.guards
            else f"not every value is of the type {found.logical_type} as it is"
        )
        return Decision(doubts=[f"it stays text, because {why}"])
    shortened = [
        next(
            (doubt.partition(known)[0] + known for known in (_NO_OFFSET, _NO_VALUE) if known in doubt), doubt
        )
        for doubt in found.doubts
    ]
    return replace(found, doubts=shortened)


def _of_text(facts: Facts) -> list[str]:
    """What a person may want to read otherwise in a column that stays text."""
    found = []
    for pattern, what in ((LIKE_NUMBER, "numbers"), (LIKE_DAY, "dates")):
        count = facts.counts.get(pattern, 0)
        if pattern == LIKE_DAY and facts.nearly:
            continue
        if facts.typed * 9 <= count * 10 < facts.typed * 10:
            found.append(
                f"it stays text, because {count:,} of {facts.typed:,} values look like {what}, and the others do not: with another type their rows "
                "would go to quarantine"
            )
    if facts.nearly:
        (moment, *others), count = facts.nearly
        other = next((one for one in others if not is_one_order([moment, one])), None)
        options = f" and logicalTypeOptions: {{format: '{moment.format}'}}" if moment.format else ""
        first = "the month" if other and other.format.startswith("M") else "the day"
        either = f", or '{other.format}' if {first} comes first" if other else ""
        found.append(
            f"it stays text, because {count:,} of {facts.typed:,} values are a {moment.logical_type} in the form {moment.format or 'of ISO 8601'}, and the "
            f"others are not: with logicalType: {moment.logical_type}{options}{either}, and the new data_type in the model's YAML, their rows go to quarantine"
        )
    elif facts.all_are(LIKE_DAY):
        found.append(
            "its values look like dates, and not all are dates in one form that a contract can say: it stays text"
        )
    some = {value.lower() for value in facts.values} if facts.different <= 3 else set()
    if some and some - set(NULLS) in ({"y", "n"}, {"t", "f"}, {"ja", "nein"}, {"j", "n"}, {"on", "off"}):
        read = some - set(NULLS) in ({"y", "n"}, {"t", "f"})
        advice = (
            "it stays text, unless you write logicalType: boolean"
            if read
            else "logicalType: boolean does not read these words, so it stays text: translate them in the curated model"
        )
        shown = " and ".join(sorted(set(facts.values) - set(facts.spelled), key=str.lower))
        found.append(f"it holds only {shown}, and may be meant as true and false; {advice}")
    if facts.spelled:
        spelled = ", ".join(f"{one!r} in {plural(count, 'row')}" for one, count in facts.spelled.items())
        found.append(f"it holds {spelled}, {_NO_VALUE}, unless you add nullValues")
    return found


def _boolean(facts: Facts) -> Decision | None:
    some = {value.lower() for value in facts.values} - {one.lower() for one in facts.spelled}
    if facts.kinds in ({"BOOLEAN"}, {"BOOLEAN", "NULL"}):
        return Decision("boolean")
    if facts.different > len(facts.values) or not some:
        return None
    if some <= {"true", "false"}:
        return Decision("boolean")
    if some == {"yes", "no"}:
        return Decision("boolean", doubts=["yes and no are read as true and false"])
    return None


def _code(name: str, facts: Facts) -> Decision | None:
    """Text of digits that nobody computes with."""
    if facts.counts.get(LEADING_ZERO, 0):
        if facts.moments:  # days with points between
            return None
        if sum(facts.counts.get(one, 0) for one in (LEADING_ZERO, INTEGER)) == facts.typed:
            return Decision(
                doubts=["its digits begin with 0 in some rows, which a number would lose: it stays text"]
            )
        return Decision(doubts=_of_text(facts))
    if not facts.all_are(INTEGER) or facts.kinds - {"VARCHAR", "NULL"}:
        return None
    if words := sorted(set(name.split("_")) & _CODES):
        return Decision(
            doubts=[f"its values are digits, and it stays text because its name has {words[0]} in it"]
        )
    if facts.counts.get("[+].*", 0) and facts.longest > 6:
        return Decision(doubts=["its values are digits behind a +, as phone numbers are: it stays text"])
    if facts.longest > _MOST_DIGITS:
        return Decision(
            doubts=[f"its values are digits, up to {facts.longest}, as codes have: it stays text"]
        )
    return None


def _number(facts: Facts, feed: Conventions) -> Decision | None:
    if exact := next(
        (re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind) for kind in facts.kinds - {"NULL"}), None
    ):
        precision, scale = int(exact[1]), int(exact[2])
        # a type that the values fill is that of these values, as programs write it that look at them; the next file has another
        if facts.whole.get(".", 0) + scale >= precision:
            precision = max(precision, 18 if scale <= 16 else 38)
        return Decision("number", f"decimal({precision}, {scale})")
    if facts.all_are(INTEGER):
        is_long = facts.longest > _MOST_DIGITS  # only where the file says that these are numbers
        return Decision("number", "decimal(38, 0)") if is_long else _integer(facts)
    if facts.kinds in ({"DOUBLE"}, {"FLOAT"}) and facts.all_are(FLOAT):
        return Decision("number", options={"format": "f32" if "FLOAT" in facts.kinds else "f64"})
    marks = next(
        (style for style in (Marks(feed.marks.decimal), feed.marks) if facts.all_are(number_pattern(style))),
        None,
    )
    if marks is None:
        return _unread(facts, feed)
    doubts = _doubts(facts, feed, marks)
    if doubts is None:
        return _ambiguous(facts, feed.marks.decimal if not marks.groups else marks.groups)
    scale = facts.scale.get(marks.decimal, 0)
    if not scale:
        return Decision("integer", options={"format": "i64"}, doubts=doubts)
    whole = facts.whole.get(marks.decimal, 0)
    scale = max(scale, 2)
    if scale > _MOST_SCALE or whole + scale > 38:
        return Decision(
            doubts=[
                f"its numbers have up to {scale} digits behind the mark, more than a decimal has: it stays text"
            ]
        )
    return Decision("number", f"decimal({18 if whole + scale <= 16 else 38}, {scale})", doubts=doubts)


def _integer(facts: Facts) -> Decision:
    doubts = []
    guards = False
    if {*facts.values} - {*facts.spelled} <= {"0", "1"} and facts.different <= len(facts.values):
        doubts.append("it holds only 0 and 1, and may be meant as false and true; it is a number here")
    elif facts.shortest == facts.longest >= 3 and not facts.kinds and not _are_years(facts):
        guards = True
        doubts.append(
            f"all its values have {facts.longest} digits: if it is a code, make it a string; a value that begins with 0 goes to quarantine meanwhile"
        )
    return Decision("integer", options={"format": "i64"}, guards=guards, doubts=doubts)


def _are_years(facts: Facts) -> bool:
    return facts.shortest == facts.longest == 4 and all(
        re.fullmatch("(19|20)[0-9]{2}", one) for one in facts.values
    )


def _doubts(facts: Facts, feed: Conventions, marks: Marks) -> list[str] | None:
    """What is uncertain about reading numbers so; None where nothing at all says that it is meant so."""
    if marks.groups:
        if facts.counts.get(proves_groups(marks), 0):
            return []
        return (
            [f"{marks.groups!r} is taken for the mark between groups of digits, as in other columns"]
            if feed.is_grouping_proven
            else None
        )
    if facts.counts.get(proves_decimal(marks.decimal), 0) or facts.states_numbers:
        return []
    if not facts.scale.get(marks.decimal, 0):
        return []
    return (
        [f"{marks.decimal!r} is taken for the mark of decimals, as in other columns"]
        if feed.is_decimal_proven
        else None
    )


def _ambiguous(facts: Facts, mark: str) -> Decision:
    shown = next((value for value in facts.values if mark in value), "")
    other = "," if mark == "." else "."
    return Decision(
        doubts=[
            (
                f"its numbers, such as {shown}, have three digits behind {mark!r} everywhere: that may be a fraction or groups of digits, and no "
                f"other column says which; it stays text until decimalMark {mark!r}, or decimalMark {other!r} and thousandsMark {mark!r}, is written"
            )
        ]
    )


def _unread(facts: Facts, feed: Conventions) -> Decision | None:
    """Numbers that are written in another way than those of other columns."""
    if facts.all_are(FLOAT) and not facts.counts.get(WITH_EXPONENT, 0) and not facts.states_numbers:
        return Decision(
            doubts=["its values may be numbers with exponents, or codes with an E in them: it stays text"]
        )
    if facts.all_are(FLOAT):
        return Decision(
            "number",
            options={"format": "f64"},
            doubts=["it has exponents, so that it is read as a binary number (f64)"],
        )
    style = next((one for one in STYLES if facts.all_are(number_pattern(one))), None)
    if style is None:
        return None
    mark = style.groups or style.decimal
    if not feed.is_decimal_proven or not facts.counts.get(proves_decimal(style.decimal), 0):
        return _ambiguous(facts, mark)
    return Decision(
        doubts=[f"its numbers have {mark!r} in another meaning than those of other columns: it stays text"]
    )


def _day_of_digits(name: str, facts: Facts) -> Decision | None:
    if not facts.all_are(INTEGER) or EIGHT_DIGITS not in facts.moments or not set(name.split("_")) & _DAYS:
        return None
    return Decision(
        "date",
        options={"format": EIGHT_DIGITS.format},
        doubts=[f"its eight digits are read as {EIGHT_DIGITS.format}, because of its name"],
    )


def _moment(facts: Facts, feed: Conventions) -> Decision | None:
    fitting = [one for one in facts.moments if one != EIGHT_DIGITS]
    if not fitting:
        return None
    sign, orders = orders_of(fitting)
    doubts = []
    if len(orders) == 2:
        if sign not in feed.day_first and sign != ".":
            both = " and ".join(dict.fromkeys(one.format for one in fitting[:2]))
            return Decision(
                doubts=[
                    f"its dates can be read as {both}, because no day is after the 12th; it stays text until you write a format"
                ]
            )
        is_first = feed.day_first.get(sign, True)
        fitting = [one for one in fitting if one.format.startswith("d") is is_first]
        why = "as in other columns" if sign in feed.day_first else "as dates with points mostly are"
        doubts.append(f"the {'day' if is_first else 'month'} is taken to come first, {why}; no value says it")
    found = fitting[0]
    options: dict[str, Any] = {}
    if found.format:
        options["format"] = found.format
    if found.has_zone:
        options["timezone"] = True
        if not all(re.search(r"(Z|[+]00(:?00)?)$", one) for one in facts.values):
            doubts.append("its times are kept as instants; raw keeps the offsets")
    elif found.logical_type == "timestamp" and not facts.kinds & {"TIMESTAMP"}:
        doubts.append(
            f"{_NO_OFFSET}: if they are of one time zone, write logicalTypeOptions: {{defaultTimezone: …}}, and the new data_type in the model's YAML"
        )
    return Decision(found.logical_type, options=options, doubts=doubts)
