"""The comparisons of one run as one HTML file: it loads nothing, runs no script, and all text in it is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from slipway.charts import shares
from slipway.comparison import costs
from slipway.comparison.report import (
    ComparisonReport,
    built_on_both,
    coverage_line,
    coverage_notes,
    groups,
    headline,
    tests_of,
)
from slipway.comparison.results import TableComparison
from slipway.comparison.style import Style
from slipway.comparison.table_differences import ALIGN, HEADINGS, details, summary

_MOST_BARS = 12
_TEMPLATE = Path(__file__).with_name("report.html")


def to_html(report: ComparisonReport) -> str:
    """The report as a page of its own, with every table."""
    style = Style(markdown=False)
    facts = {"base": report.base, "head": report.head, **report.context}
    return _template().render(
        report=report,
        headline=headline(report),
        facts={label: style.words(value) for label, value in facts.items()},
        tests=tests_of(report, style),
        cost_headings=costs.HEADINGS,
        costs=costs.cost_rows(report.costs, built_on_both(report.tables), style, len(report.tables))[0]
        if report.costs
        else [],
        headings=HEADINGS,
        align=ALIGN,
        groups=[
            (
                title,
                [
                    (table, summary(table, style), details(table, style), _plots(table, style))
                    for table in tables
                ],
            )
            for title, tables in groups(report.tables, report.packages)
        ],
        coverage=coverage_line(report),
        notes=coverage_notes(report, style),
    )


def _plots(table: TableComparison, style: Style) -> list[tuple[str, Markup]]:
    """Title and plot of what a table's differences look like: in which columns they are, and on which values they concentrate."""
    columns = sorted(
        ((one.different / one.compared, style.words(one.name)) for one in table.columns if one.different),
        key=lambda found: (-found[0], found[1]),
    )
    segments = [
        (
            f"{one.column} = {one.value}"
            if one.until is None
            else f"{one.column} {one.value} to {one.until}",
            one,
        )
        for one in table.segments
    ]
    plots = {
        "Values that differ, of those compared, by column": [
            (name, share) for share, name in columns[:_MOST_BARS]
        ],
        "Of the rows that differ, those with a value": [
            (style.words(name), one.rows / one.of_rows) for name, one in segments
        ],
    }
    return [(title, shares(f"{title}, {table.name}", bars)) for title, bars in plots.items() if bars]


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
