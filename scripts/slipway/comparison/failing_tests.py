"""Data tests and unit tests of two builds: which of them fail, and on which side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from slipway.comparison.style import Style
from slipway.counts import plural
from slipway.records.node_results import Status, TestCounts, TestResult, Tests

_NAMED = 3
_SHOWN = 10
_SIDES = {"head": "on head only", "both": "on both sides", "base": "on base only"}
_KINDS: tuple[Literal["data test"], Literal["unit test"]] = ("data test", "unit test")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class FailingTest(_Record):
    """A test that fails on a side; ``base`` and ``head`` are its results, None where a side does not have it.

    ``message`` is that of head, or of base where only base fails.
    """

    name: str
    unique_id: str
    kind: Literal["data test", "unit test"]
    fails_on: Literal["head", "both", "base"]
    base: Status | None
    head: Status | None
    message: str = ""


class ComparedTests(_Record):
    """Tests of both sides; a side is None where none were run.

    ``failing`` are first those that fail on head only.
    """

    base: TestCounts | None
    head: TestCounts | None
    failing: tuple[FailingTest, ...] = ()

    @property
    def why_failed(self) -> str:
        """Which tests fail on head only, in one line; empty for none. What base fails in, too, is no fault of the change."""
        return _headline(
            [test for test in self.failing if test.fails_on == "head"], "head", Style(markdown=False)
        )


def compare_tests(base: Tests | None, head: Tests | None) -> ComparedTests:
    """Compare what became of the tests of two builds.

    Args:
        base: of the run that built base, None where it ran no tests.
        head: the same of head.
    """
    then, now = ({test.unique_id: test for test in (side.results if side else ())} for side in (base, head))
    found = [_compared(unique_id, then, now) for unique_id in sorted(then.keys() | now.keys())]
    failing = [test for test in found if test is not None]
    order = list(_SIDES)
    return ComparedTests(
        base=_counts(base),
        head=_counts(head),
        failing=tuple(sorted(failing, key=lambda test: (order.index(test.fails_on), test.kind, test.name))),
    )


def _compared(
    unique_id: str, then: Mapping[str, TestResult], now: Mapping[str, TestResult]
) -> FailingTest | None:
    base, head = then.get(unique_id), now.get(unique_id)
    in_base, in_head = (test is not None and test.status.failed for test in (base, head))
    shown = head if in_head else base
    if shown is None or not (in_base or in_head):
        return None
    return FailingTest(
        name=shown.name,
        unique_id=unique_id,
        kind="unit test" if unique_id.startswith("unit_test.") else "data test",
        fails_on="both" if in_base and in_head else "head" if in_head else "base",
        base=base.status if base else None,
        head=head.status if head else None,
        message=shown.explanation,
    )


def _counts(tests: Tests | None) -> TestCounts | None:
    return TestCounts(**tests.model_dump(exclude={"results"})) if tests else None


def lines_of_tests(tests: ComparedTests, style: Style) -> list[tuple[int, str]]:
    """Lines with their depth: how many tests ran on each side, and those that fail with what they found."""
    sides = {"base": tests.base, "head": tests.head}
    ran = [f"{side} {_ran(counts)}" for side, counts in sides.items() if counts is not None]
    lines = [(0, f"tests: {'; '.join(ran)}")] if ran else []
    for side in _SIDES:
        failing = [test for test in tests.failing if test.fails_on == side]
        if not failing:
            continue
        lines.append((0, _headline(failing, side, style)))
        for test in failing[:_SHOWN]:
            absent = [name for name, counts in sides.items() if counts and getattr(test, name) is None]
            where = f" ({absent[0]} does not have this test)" if absent else ""
            found = test.message or test.head or test.base or ""
            lines.append((1, f"{style.value(test.name)}: {style.words(f'{found}{where}')}"))
        if len(failing) > _SHOWN:
            lines.append((1, f"{plural(len(failing) - _SHOWN, 'test')} more: see the JSON report"))
    return lines


def _ran(counts: TestCounts) -> str:
    others = {"carried": counts.carried, "not run": counts.not_run, "warned": counts.warned}
    parts = [f"{number:,} {what}" for what, number in others.items() if number]
    return ", ".join([f"{counts.executed:,} executed", *parts, f"{counts.failed:,} failed"])


def _headline(failing: Sequence[FailingTest], side: str, style: Style) -> str:
    """How many tests fail on a side, and the first of them by name; empty for none."""
    if not failing:
        return ""
    kinds = Counter(test.kind for test in failing)
    counts = " and ".join(plural(kinds[kind], kind) for kind in _KINDS if kinds[kind])
    names = ", ".join(style.value(test.name) for test in failing[:_NAMED])
    more = f" and {len(failing) - _NAMED} more" if len(failing) > _NAMED else ""
    return f"{counts} {'fails' if len(failing) == 1 else 'fail'} {_SIDES[side]}: {names}{more}"
