"""Makes docs/reference/spark-sql.md: ``python -m slipway.engines.spark.translation.reference > docs/reference/spark-sql.md``."""

from __future__ import annotations

import sys

from slipway.engines.spark.translation.calls import AGGREGATES, EDGES, FORMS, FUNCTIONS, OFFSETS, RANKS
from slipway.engines.spark.translation.casts import KINDS, READ_ALIKE, pairs
from slipway.engines.spark.translation.moment_functions import PARTS, ZONES
from slipway.engines.spark.translation.type_kinds import EXACT_IN_DOUBLE

_HEAD = f"""\
# SQL that Spark computes as DuckDB does

For whoever writes a model that Spark is to compute. Models are written in DuckDB's SQL. Slipway translates a model for Spark only if all of it is on this page; anything else is refused
before it runs, with the function, the line of the compiled SQL, and what to write instead. Types of columns come from the tables of the run, and DuckDB says which types expressions have.

What is here is held by a suite that computes every entry on both engines and compares types and values (`tests/integration/spark/translation/parity`), with Spark 4.1 in ANSI mode, the session's
time zone UTC. Where the two differ, it is the translation that makes them agree. Spark is stricter in a few places, where the query ends with an error instead of another value:

- division by zero with `/`;
- a text that is cast in a form that the two read differently, such as `1e3` to INTEGER;
- `timezone` before 1970, and dates as text before year 1 or after year 9999;
- a sum of `BIGINT` with more than 28 digits.

Neither engine promises which row `arg_max`, `arg_min` or `row_number` take of rows that are equal in what they order by. Order by something that has no equals.

This page is made by `python -m slipway.engines.spark.translation.reference`.

## Queries

`WITH`, not recursive · `SELECT`, `SELECT DISTINCT`, `*`, `t.*`, `* EXCLUDE (…)` · `FROM` tables, CTEs, queries, `VALUES` · `INNER`, `LEFT`, `RIGHT`, `FULL` and `CROSS JOIN` with `ON`;
`INNER` and `LEFT JOIN` with `USING` · `WHERE`, `GROUP BY` columns, expressions, aliases, positions and `ALL`, `HAVING`, `QUALIFY`, `WINDOW` · `ORDER BY`, and with it `LIMIT` and `OFFSET` of
constants · `UNION`, `UNION ALL`, `UNION [ALL] BY NAME`, `EXCEPT`, `INTERSECT`, of columns with equal types · `EXISTS (…)`, `x IN (…)`, and queries as values that use no columns of the query
around them · `cast(unnest(generate_series(first, last, interval 1 day)) as date)` of two dates.

Every expression in a select list has a name. NULLs are where DuckDB has them in an order: last. A name that is both a column and an alias of another expression is refused where engines
prefer different ones.

## Operators

`AND`, `OR`, `NOT` · `=`, `<>`, `<`, `<=`, `>`, `>=`, `IS [NOT] DISTINCT FROM`, `BETWEEN`, `IN`, `IS [NOT] NULL`, `IS [NOT] TRUE`, `IS [NOT] FALSE` · `<`, `<=`, `>`, `>=` of rows `(a, b)` · `LIKE`
with a constant · `CASE` · `+`, `-`, `*` of numbers, `/` (always DOUBLE), `//` and `%` of whole numbers (NULL for a divisor of zero) · date + days, date - days, date - date, dates and
timestamps ± a constant interval of one unit (`interval 1 month`; a date becomes a TIMESTAMP) · `||` of texts, exact numbers and truth values · `x.field`, `x['field']` of structs.

A DECIMAL of more than {EXACT_IN_DOUBLE} digits does not become a DOUBLE, so it is not divided with `/`: divide whole numbers with `//`. Operators that engines bind in different orders need
parentheses: `(a = b) is null`.
"""

_FORMS_OF_TEXTS = {
    "integer": "digits, with a sign or without",
    "decimal": "digits, with a sign and a point or without: `12`, `-0.50`, `.5`, `5.`",
    "date": "`2025-01-31`, from year 1 on",
    "timestamp": "`2025-01-31 10:20`, also with `T` instead of the space, with seconds, and with up to six digits of their fraction",
}


def _functions() -> list[str]:
    rows = ["| function | on Spark | remark |", "| --- | --- | --- |"]
    for one in FUNCTIONS:
        names = one.takes
        shown = one.spark.replace("|", "\\|")
        for at, name in enumerate(one.takes):
            shown = shown.replace(f"{{{at}}}", "xyz"[at] if at < 3 and name else f"x{at}")
        rows.append(f"| `{one.name}`({', '.join(names)}) | `{shown}` | {one.remark} |")
    return rows


def _aggregates() -> list[str]:
    rows = [
        "| aggregate | of | on Spark | `FILTER` | `OVER` | remark |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in AGGREGATES:
        shown = one.shown.replace("{0}", "x").replace("{1}", "y")
        marks = ["no" if one.name == "avg" else "yes", "yes" if one.windowed else "no"]
        rows.append(f"| `{one.name}` | {one.takes} | `{shown}` | {' | '.join(marks)} | {one.remark} |")
    rows.append("| `count(distinct x)` | any | `COUNT(DISTINCT x)` | yes | no | |")
    rows.append(
        "| `string_agg(x, ',' order by y)`, `listagg`, `group_concat` | text | `LISTAGG` | yes | no | with an order only |"
    )
    return rows


def _casts() -> list[str]:
    rows = ["| from | to | `try_cast` to |", "| --- | --- | --- |"]
    for source in KINDS:
        targets = {
            tried: [target for one, target, way in pairs() if one == source and way is tried]
            for tried in (False, True)
        }
        rows.append(f"| {source} | {', '.join(targets[False])} | {', '.join(targets[True])} |")
    return rows


def reference() -> str:
    """The page as Markdown."""
    lines = [_HEAD, "## Functions", ""]
    lines += [
        "A *constant* is written in the query. *Moment* is a DATE, TIMESTAMP or TIMESTAMP WITH TIME ZONE.",
        "",
        *_functions(),
        "",
    ]
    lines += [f"Parts for `extract` and `date_part`: {', '.join(f'`{one}`' for one in PARTS)}.", ""]
    lines += [
        "Regular expressions: characters, `.`, `^`, `$`, `|`, groups, classes in brackets, `\\d`, `\\w`, `\\s`, `\\p{Z}`, `\\x41`, and quantifiers.",
        "",
    ]
    lines += [
        f"Time zones: {', '.join(sorted(ZONES))}. Of a local time that comes twice, the later instant, as in DuckDB.",
        "",
    ]
    lines += ["## Aggregates", "", *_aggregates(), ""]
    windows = ", ".join(f"`{one}`" for one in (*RANKS, *OFFSETS, *EDGES))
    lines += [
        f"With `OVER` also {windows}, with an order. Frames: `ROWS` with constants, `RANGE` with `UNBOUNDED`, `CURRENT ROW` and constant days.",
        "",
    ]
    lines += ["## Casts", "", *_casts(), "", "Texts are cast in these forms; another one ends the query:", ""]
    lines += ["| to | form |", "| --- | --- |"]
    lines += [f"| {name.upper()} | {_FORMS_OF_TEXTS[name]} |" for name in READ_ALIKE]
    lines += ["", "## What to write instead", "", "| function | instead |", "| --- | --- |"]
    lines += [f"| `{name}` | {form.replace('|', chr(92) + '|')} |" for name, form in sorted(FORMS.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
