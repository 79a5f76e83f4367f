"""Which runs can be built again, what is taken as it was, and what is selected."""

from __future__ import annotations

import pytest
from tests.harness.records import COMMIT, NO_COMMIT, manifest, node

from slipway.records.run_manifest import Code, InputSnapshot, Outcome
from slipway.runs.replayable import inputs_of, kept_by, made_by, selection_of, why_not_replayable

RAW = node("raw.a", metadata_location="raw.json", candidate_snapshot="1")
MODEL = node("serving.b", metadata_location="b.json", candidate_snapshot="2")
FAILED = node("serving.c", status="error")
VIEW = node("serving.v").model_copy(update={"table": None})
HISTORY = node("curated.h", unique_id="snapshot.shop.h", metadata_location="h.json", candidate_snapshot="3")
RUN = manifest(
    RAW,
    MODEL,
    FAILED,
    VIEW,
    HISTORY,
    inputs=[
        InputSnapshot(
            table="dev.reference.d", snapshot_id="4", schema_id=0, rows=1, metadata_location="d.json"
        ),
        InputSnapshot(
            table="dev.serving.b", snapshot_id="5", schema_id=0, rows=1, metadata_location="old.json"
        ),
    ],
)


@pytest.mark.parametrize(
    ("outcome", "code", "why"),
    [
        (Outcome.PUBLISHED, COMMIT, ""),
        (Outcome.STAGED, COMMIT, ""),
        (Outcome.UNCHANGED, COMMIT, ""),
        (Outcome.FAILED, COMMIT, "it is failed: it ended so"),
        (Outcome.DISCARDED, COMMIT, "it is discarded: it ended so"),
        (Outcome.PUBLISHED, NO_COMMIT, "no commit holds its code"),
        (Outcome.PUBLISHED, Code(commit="c0ffee", dirty=True), "a work tree with uncommitted changes"),
    ],
)
def test_only_a_run_that_passed_at_a_commit_is_replayed(outcome: Outcome, code: Code, why: str) -> None:
    found = why_not_replayable(manifest(outcome=outcome, code=code, reason="it ended so"))
    assert why in found
    assert bool(found) == bool(why)


def test_raw_tables_and_histories_are_inputs_and_the_rest_is_built() -> None:
    assert made_by(RUN) == {"serving.b": MODEL}
    # an input of the run that the run made again is built, not taken
    assert inputs_of(RUN) == {
        "raw.a": ("raw.json", "1"),
        "curated.h": ("h.json", "3"),
        "reference.d": ("d.json", "4"),
    }
    assert kept_by(RUN) == ["curated.h: the history of a snapshot, taken as the run left it"]


def test_what_is_selected_is_named_by_its_place_because_a_name_may_be_that_of_a_folder() -> None:
    place = {"fqn": ["shop", "serving", "b"], "original_file_path": "models/serving/b.sql"}
    odd = {"fqn": ["shop", "my folder", "v"], "original_file_path": "models/my folder/v.sql"}
    nodes = {"model.shop.b": place, "model.shop.v": odd}
    assert selection_of(RUN, {"nodes": nodes}) == ["fqn:shop.serving.b,path:models/serving/b.sql", "v"]
