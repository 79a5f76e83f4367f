"""Every expression of ``parity`` on DuckDB and on Spark: the same types and values, or the verdict of its line."""

from __future__ import annotations

from collections import defaultdict

import pytest
from tests.integration.spark.translation.cases import TABLES, Case, cases
from tests.integration.spark.translation.engines import Answer, BothEngines

COMPUTED = [case for case in cases() if case.verdict != "refused"]
TOGETHER = 25


@pytest.fixture(scope="module")
def tables(engines: BothEngines) -> BothEngines:
    engines.duckdb.execute(TABLES)
    for name in ("cells", "extremes"):
        engines.share(name, name)
    return engines


@pytest.fixture(scope="module")
def answers(tables: BothEngines) -> dict[str, Answer]:
    """What Spark gives for each case. Cases of one form are asked together, and one by one where one of them fails."""
    found: dict[str, Answer] = {}
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in COMPUTED:
        if case.verdict in {"agrees", "differs"} and case.sql != case.text:
            key, _, rest = case.sql.partition(f", {case.text} as it")
            groups[key, rest].append(case)
    for (head, tail), members in groups.items():
        for start in range(0, len(members), TOGETHER):
            some = members[start : start + TOGETHER]
            listed = ", ".join(f"{case.text} as it{at}" for at, case in enumerate(some))
            together = tables.by_spark(f"{head}, {listed}{tail}")
            if not together.error:
                for at, case in enumerate(some):
                    types = (together.types[0], ("it", together.types[at + 1][1]))
                    rows = tuple(sorted(((row[0], row[at + 1]) for row in together.rows), key=repr))
                    found[case.place] = Answer(types, rows)
    for case in COMPUTED:
        if case.place not in found:
            found[case.place] = tables.by_spark(case.sql)
    return found


@pytest.mark.parametrize("case", COMPUTED, ids=[case.place for case in COMPUTED])
def test_both_engines(case: Case, tables: BothEngines, answers: dict[str, Answer]) -> None:
    expected, actual = tables.by_duckdb(case.sql), answers[case.place]
    if case.verdict in {"fails", "stricter"}:
        assert actual.error, f"Spark has {actual.rows}"
        assert bool(expected.error) == (case.verdict == "fails"), expected
    else:
        assert not expected.error, expected.error
        assert not actual.error, f"{actual.error}\n{tables.translated(case.sql)}"
        assert (actual.types, actual.rows) == (expected.types, expected.rows), tables.translated(case.sql)
