"""What a run takes over from earlier ones: the newest result of each node and test, and only what is certain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.harness.records import manifest, node

from slipway.records.node_results import Change, Status, TestResult, Tests
from slipway.records.run_manifest import InputSnapshot, Options, RunManifest
from slipway.runs.earlier_results import EarlierResults

IDS = ["test.shop.a", "test.shop.b", "test.shop.c"]
tests = st.builds(
    TestResult,
    unique_id=st.sampled_from(IDS),
    status=st.sampled_from([Status.PASS, Status.WARN, Status.NOT_RUN, Status.SKIPPED]),
    key=st.sampled_from(["k", "l"]),
    volatile=st.sampled_from(["", "it calls now"]),
)
histories = st.lists(st.lists(tests, max_size=3, unique_by=lambda test: test.unique_id), max_size=4)


def run(*results: TestResult, select: tuple[str, ...] = (), **fields: object) -> RunManifest:
    left_out = sum(result.status.left_out for result in results)
    counts = {
        "executed": len(results) - left_out,
        "carried": 0,
        "not_run": left_out,
        "failed": 0,
        "warned": 0,
    }
    made = Tests(expected=len(results), results=list(results), **counts)
    return manifest(tests=made, options=Options(select=list(select)), **fields)


@given(histories)
def test_the_newest_result_of_a_test_counts_and_only_if_it_was_run(history: list[list[TestResult]]) -> None:
    earlier = EarlierResults()
    for results in history:
        earlier.add(run(*results))
    for unique_id in IDS:
        of_it = [one for results in history for one in results if one.unique_id == unique_id]
        newest = next((one for one in of_it if one.status in (Status.PASS, Status.WARN)), None)
        has_passed = newest is not None and newest.status is Status.PASS
        assert earlier.passed(unique_id) == (newest.key if newest and has_passed else None)
        known = earlier.tested(unique_id)
        assert (known.result if known else None) == (
            newest if has_passed and newest and not newest.volatile else None
        )


def test_no_older_run_is_read_than_is_needed() -> None:
    a, b = (TestResult(unique_id=one, status=Status.PASS, key="k") for one in IDS[:2])
    left_out = TestResult(unique_id=IDS[1], status=Status.NOT_RUN)
    earlier = EarlierResults()
    assert not earlier.suffices(IDS[:1])
    earlier.add(run(a, select=("a",)))
    assert earlier.suffices(IDS[:1])
    assert not earlier.suffices(IDS[:2])
    earlier.add(run(a, left_out))  # plain dbt run, which leaves tests out
    assert not earlier.suffices(IDS[:2])
    earlier.add(run(a, b))
    assert earlier.suffices(IDS)


def test_a_table_is_known_only_as_the_last_run_that_came_to_it_found_it() -> None:
    found = node("serving.a", metadata_location="a.json").model_copy(update={"change": Change.UNCHANGED})
    older = manifest(found)
    for newer, is_known in (
        (found, True),
        (found.model_copy(update={"change": Change.BUILT}), False),
        (found.model_copy(update={"volatile": "it calls now"}), False),
        (found.model_copy(update={"status": Status.ERROR}), False),
    ):
        earlier = EarlierResults()
        earlier.add(manifest(newer))
        earlier.add(older)
        assert (earlier.unchanged(found.unique_id) is not None) == is_known


def test_tables_are_known_by_their_files_and_those_that_were_read_by_name() -> None:
    made = node("serving.a", metadata_location="a.json").model_copy(update={"change": Change.BUILT})
    kept = node("serving.b", metadata_location="b.json").model_copy(update={"change": Change.UNCHANGED})
    read = InputSnapshot(table="dev.raw.c", snapshot_id="1", schema_id=0, rows=1, metadata_location="c.json")
    earlier = EarlierResults()
    earlier.add(manifest(made, kept, inputs=[read]))
    known = earlier.unchanged(kept.unique_id)
    assert known is not None
    assert known.tables.locations == {
        "dev.serving.a": "a.json",
        "dev.serving.b": "b.json",
        "dev.raw.c": "c.json",
    }
    assert set(known.tables.read) == {"dev.serving.a", "dev.raw.c"}
