"""Real runs, one that builds, one that starts no dbt and one that fails, with a receiver of OTLP and a folder for Prometheus."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.parser import text_string_to_metric_families
from tests.cli.conftest import World
from tests.harness.collector import Collector, collecting


@pytest.mark.long
def test_each_run_is_a_trace_and_a_set_of_metrics(empty: World) -> None:
    folder = empty.folder / "textfile"
    folder.mkdir()
    with collecting() as (collector, endpoint):
        empty.workshop.settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        empty.workshop.settings["SLIPWAY_PROMETHEUS_TEXTFILE_DIR"] = str(folder)
        built = empty.workshop.run()
        spans = _spans(collector)
        assert spans[0].name == "slipway run"
        tables = {
            f"model {node['table']}" for node in built["nodes"] if node["unique_id"].startswith("model.")
        }
        assert tables
        assert tables <= {one.name for one in spans}
        assert all(one.start_time_unix_nano <= one.end_time_unix_nano for one in spans)
        first = _metrics(empty)
        assert first["slipway_release_number"] == built["release"]

        empty.workshop.run()  # nothing changed, as dbt finds out
        assert _spans(collector)[0].trace_id != spans[0].trace_id
        empty.workshop.run()  # nothing changed, and dbt is not started
        assert len(_spans(collector)) == 1
        again = _metrics(empty)
        assert (
            again["slipway_run_finished_timestamp_seconds"] > first["slipway_run_finished_timestamp_seconds"]
        )
        assert (
            again["slipway_release_published_timestamp_seconds"]
            == first["slipway_release_published_timestamp_seconds"]
        )

        model = next((empty.path / "models").rglob("*.sql"))
        model.write_text("select no_such_column from (select 1)", encoding="utf-8")
        empty.workshop.run(code=1)
        run, *others = _spans(collector)
        (failed,) = [one for one in others if one.status.code == Status.STATUS_CODE_ERROR]
        assert run.status.code == Status.STATUS_CODE_ERROR
        assert "no_such_column" in failed.status.message
        assert _metrics(empty)["slipway_release_number"] == built["release"]


def _spans(collector: Collector) -> list[Span]:
    """The spans of the last trace that arrived, the run first."""
    request = ExportTraceServiceRequest.FromString(collector.got.pop("/v1/traces"))
    found = request.resource_spans[0].scope_spans[0].spans
    return sorted(found, key=lambda span: (bool(span.parent_span_id), span.start_time_unix_nano))


def _metrics(world: World) -> dict[str, float]:
    """Metrics that have one sample."""
    text = (world.folder / "textfile" / "slipway-dev.prom").read_text(encoding="utf-8")
    return {
        one.name: one.samples[0].value
        for one in text_string_to_metric_families(text)
        if len(one.samples) == 1
    }
