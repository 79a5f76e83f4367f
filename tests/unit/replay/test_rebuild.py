"""What is built again, in which window of time, and what differs around it; decided from records only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.harness.records import NOW, manifest, node

from slipway.records.run_manifest import Options
from slipway.replay.rebuild import _differences, _window

START, END = NOW, NOW + timedelta(days=1)
WINDOW = Options(event_time_start=START, event_time_end=END)


def described(strategy: str) -> dict[str, Any]:
    return {"nodes": {"model.shop.a": {"config": {"incremental_strategy": strategy}}}}


@pytest.mark.parametrize(
    ("options", "strategy", "base", "window"),
    [
        (Options(), "microbatch", None, None),
        (Options(event_time_start=START), "microbatch", None, None),
        (WINDOW, "microbatch", None, (START, END)),
        (WINDOW, "microbatch", "7", None),
        (WINDOW, "append", "7", (START, END)),
        (WINDOW.model_copy(update={"full_refresh": True}), "microbatch", "7", (START, END)),
    ],
    ids=[
        "no window",
        "half of one",
        "first build",
        "added to older batches",
        "no microbatch",
        "full refresh",
    ],
)
def test_the_window_of_a_run_is_that_of_its_replay_unless_the_table_holds_more(
    options: Options, strategy: str, base: str | None, window: object
) -> None:
    run = manifest(node("serving.a", base_snapshot=base), options=options)
    assert _window(run, described(strategy)) == window


def test_versions_that_differ_are_named() -> None:
    then = manifest().versions
    now = then.model_copy(update={"duckdb": "9.9"})
    assert _differences(then, then) == []
    assert _differences(then, now) == ["duckdb:  then, 9.9 now"]
