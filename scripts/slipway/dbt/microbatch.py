"""Batches of ``microbatch`` models, as dbt cuts them: it runs the materialization once for each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from slipway.dbt.keys.node_key import manifest_node
from slipway.engines.duckdb.batches import Window


def window_of(manifest: Any, unique_id: str, batch: Mapping[str, Any]) -> Window:
    """The window of one batch, as dbt cut it."""
    column = str(manifest_node(manifest, unique_id).config.get("event_time"))
    return Window(column, _moment(batch["event_time_start"]), _moment(batch["event_time_end"]))


def is_last(manifest: Any, unique_id: str, window: Window) -> bool:
    """Whether dbt, which runs the latest batch of a model after all others, has none to come.

    It is asked for what dbt decided by dbt's own means; should this ever differ, keys are looked at before the run is published.
    """
    from dbt.flags import get_flags
    from dbt.materializations.incremental.microbatch import MicrobatchBuilder
    from dbt_common.invocation import get_invocation_started_at

    node, flags = manifest_node(manifest, unique_id), get_flags()
    if (again := getattr(node, "previous_batch_results", None)) is not None:
        return bool(again.failed) and window.end == _moment(again.failed[-1][1])
    sample = getattr(flags, "SAMPLE", None)
    end = sample.end if sample else getattr(flags, "EVENT_TIME_END", None)
    cut = MicrobatchBuilder(node, True, None, end, get_invocation_started_at())
    return window.end == _moment(cut.build_end_time())


def _moment(value: Any) -> dt.datetime:
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
