"""The comparisons of one run as a record: whether it passed and why not, what was compared and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from slipway.code.lock_files import PackageDifference
from slipway.comparison.costs import ComparedCosts, Cost
from slipway.comparison.failing_tests import ComparedTests, lines_of_tests
from slipway.comparison.results import (
    Method,
    TableComparison,
    Verdict,
    fails,
    is_evidence,
    passed,
)
from slipway.comparison.style import Style
from slipway.counts import plural, size
from slipway.records.run_manifest import Sample

_MAX_HIDDEN = 12

_ORDER = (
    Verdict.DIFFERENT,
    Verdict.NOT_COMPARED,
    Verdict.NO_EVIDENCE,
    Verdict.EXPLAINED,
    Verdict.WITHIN_TOLERANCE,
    Verdict.IDENTICAL,
)


class ComparisonReport(BaseModel):
    """Everything that was compared in one run.

    Args:
        title: what was run, for the heading.
        found: what a search found, in the place of the headline; empty where both sides were given.
        base: what the base side is (a ref, a release); ``head`` likewise.
        context: further facts such as the slice, by label.
        remarks: sentences about how it was compared, and what was not.
        packages: in what the environments of both sides differ; empty where they were built with the same.
        sample: the part of the inputs that both sides were built from; None for all of it.
        passed: whether nothing unexplained was found, no test fails on head only, and no bound of time is broken.
        tests: what became of the tests of both sides; None where none were run for the comparison.
        costs: what both builds cost; None where they were not both built for the comparison.
        tables: the judged comparisons, failing ones first, then by name.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    title: str
    found: str = ""
    base: str
    head: str
    context: dict[str, str] = Field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    packages: tuple[PackageDifference, ...] = ()
    sample: Sample | None = None
    passed: bool
    tests: ComparedTests | None = None
    costs: ComparedCosts | None = None
    tables: tuple[TableComparison, ...]


def make_report(
    comparisons: Sequence[TableComparison],
    *,
    title: str = "Comparison",
    found: str = "",
    base: str = "base",
    head: str = "head",
    context: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
    packages: Sequence[PackageDifference] = (),
    sample: Sample | None = None,
    tests: ComparedTests | None = None,
    costs: ComparedCosts | None = None,
) -> ComparisonReport:
    """The record of a run's judged comparisons; it says of which columns values are hidden."""
    hidden = sorted({column for table in comparisons for column in table.hidden})
    return ComparisonReport(
        title=title,
        found=found,
        base=base,
        head=head,
        context=dict(context or {}),
        remarks=(*remarks, *_hidden(hidden)),
        packages=tuple(packages),
        sample=sample,
        passed=passed(comparisons) and not any(part and part.why_failed for part in (tests, costs)),
        tests=tests,
        costs=costs,
        tables=tuple(sorted(comparisons, key=lambda table: (_ORDER.index(table.verdict), table.name))),
    )


def _hidden(columns: Sequence[str]) -> Iterator[str]:
    if columns:
        more = f" and {len(columns) - _MAX_HIDDEN} more" if len(columns) > _MAX_HIDDEN else ""
        yield (
            f"Values, or sums, of classified columns are hidden: {', '.join(columns[:_MAX_HIDDEN])}{more};"
            " --show-classified of slipway diff and slipway canary shows them"
        )


def to_dict(report: ComparisonReport) -> dict[str, Any]:
    """The report as JSON values; the field names are those of ``ComparisonReport`` and its parts."""
    return report.model_dump(mode="json")


def headline(report: ComparisonReport) -> str:
    """The outcome in one line, of which part of the inputs, why it is red if it is, and the number of tables for each verdict."""
    part = f" on {report.sample.words}" if report.sample else ""
    if why := nothing_compared(report):
        return f"failed{part}, {why}"
    if report.found:
        return report.found
    words = Counter(
        table.verdict_words for table in sorted(report.tables, key=lambda one: _ORDER.index(one.verdict))
    )
    counts = [f"{number} {word}" for word, number in words.items()]
    outcome = f"passed{part}, " if report.passed else f"failed{part}, {why_failed(report)}; "
    return f"{outcome}{plural(len(report.tables), 'table')} ({', '.join(counts)})"


def why_failed(report: ComparisonReport) -> str:
    """Why a report did not pass, in one line; empty when it passed."""
    if report.passed:
        return ""
    if why := nothing_compared(report):
        return why
    verdicts = Counter(table.verdict for table in report.tables)
    declared, missing = verdicts[Verdict.EXPLAINED], verdicts[Verdict.NOT_COMPARED]
    reasons = []
    if verdicts[Verdict.DIFFERENT]:
        number = verdicts[Verdict.DIFFERENT] + declared
        reasons.append(
            f"{plural(number, 'table')} {'differs' if number == 1 else 'differ'}, {declared} declared"
        )
    if missing:
        reasons.append(f"{plural(missing, 'table')} could not be compared")
    reasons += [part.why_failed for part in (report.tests, report.costs) if part and part.why_failed]
    return ", ".join(reasons)


def nothing_compared(report: ComparisonReport) -> str:
    """Why a report is no evidence of anything; empty where rows were compared, or something fails by itself."""
    if not report.tables:
        return "nothing was compared: no table was built on either side"
    if is_evidence(report.tables) or any(fails(table) for table in report.tables):
        return ""
    number = plural(len(report.tables), "table")
    return f"nothing was compared: {number} without a row on either side; publish data to compare on, or widen the slice"


def tests_of(report: ComparisonReport, style: Style) -> list[tuple[int, str]]:
    """Lines about the tests of both sides, with their depth; empty where none were run."""
    return lines_of_tests(report.tests, style) if report.tests else []


def built_on_both(tables: Sequence[TableComparison]) -> dict[str, tuple[Cost, Cost]]:
    """What the tables cost that both sides have."""
    return {
        table.name: (table.base, table.head) for table in tables if table.base.exists and table.head.exists
    }


_METHODS = {
    Method.SNAPSHOT: "the same snapshot",
    Method.DIGEST: "with the same content digest",
    Method.KEY: "by key",
    Method.MULTISET: "as whole rows without a key",
}


def coverage_line(report: ComparisonReport) -> str:
    """How many tables were compared, and how."""
    without = [one for one in report.tables if one.verdict_words == Verdict.NO_EVIDENCE.words]
    empty = len(without)
    methods = Counter(table.coverage.method for table in report.tables if table not in without)
    how = [f"{methods[method]} {label}" for method, label in _METHODS.items() if methods[method]]
    compared = sum(methods[method] for method in _METHODS)
    coverage = f"{compared} of {plural(len(report.tables), 'table')} compared" + (
        f" ({', '.join(how)})" if how else ""
    )
    if empty:
        coverage += f", no evidence of {empty} without a row on either side"
    read = [table.coverage.files for table in report.tables if table.coverage.files]
    if files := sum(one.files for one in read):
        of_bytes = f"{size(sum(one.bytes_read for one in read))} of {size(sum(one.bytes for one in read))}"
        coverage += (
            f"; {sum(one.files_read for one in read):,} of {plural(files, 'data file')} read ({of_bytes})"
        )
    return coverage


def coverage_notes(report: ComparisonReport, style: Style) -> list[str]:
    """What was left out or compared in another way than declared, and why."""
    ignored: dict[str, int] = {}
    notes = []
    for table in report.tables:
        for column, reason in table.coverage.not_compared.items():
            if reason == "ignored":
                ignored[column] = ignored.get(column, 0) + 1
            elif column not in {**table.schema_changes.added, **table.schema_changes.removed}:
                notes.append(f"{style.value(table.name)}, {style.value(column)}: {style.words(reason)}")
        notes += [f"{style.value(table.name)}: {style.words(note)}" for note in table.coverage.notes]
    if ignored:
        names = ", ".join(
            f"{style.value(column)} in {plural(n, 'table')}" for column, n in sorted(ignored.items())
        )
        notes.append(f"ignored columns: {names}")
    return notes


def groups(
    tables: Sequence[TableComparison], packages: Sequence[PackageDifference] = ()
) -> list[tuple[str, list[TableComparison]]]:
    """Tables under what brought their differences: edited models first, then what follows from each of them, then the others.

    Where nothing is known of origins there is one group without a title.
    """
    if not any(table.edited or table.because_of for table in tables):
        return [("", list(tables))] if tables else []
    other = f"not edited: other {'packages' if packages else 'data'}"
    found: dict[str, list[TableComparison]] = {"edited": []}
    for table in tables:
        if table.because_of:
            title = f"follows from {', '.join(table.because_of)}"
        elif table.edited:
            title = "edited"
        elif table.verdict in (Verdict.IDENTICAL, Verdict.NO_EVIDENCE):
            title = "no difference"
        else:
            title = other
        found.setdefault(title, []).append(table)
    rank = {"edited": 0, other: 1, "no difference": 3}
    return sorted(((title, one) for title, one in found.items() if one), key=lambda one: rank.get(one[0], 2))


def in_groups(report: ComparisonReport) -> list[TableComparison]:
    """All tables in the order of ``groups``."""
    return [table for _, group in groups(report.tables, report.packages) for table in group]
