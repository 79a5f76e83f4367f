"""Traces and metrics arrive at a real receiver of OTLP, and in a file that Prometheus reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from tests.harness.collector import Collector, collecting
from tests.harness.records import NOW, environment, manifest, node

from slipway.records.run_manifest import Outcome
from slipway.records.store import Records
from slipway.telemetry.export import after_run

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as (found, endpoint):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        yield found


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """The records of a run that built one table."""
    found = Records(environment(tmp_path))
    run = manifest(node("curated.orders", rows_added=5), finished_at=NOW + timedelta(seconds=90))
    found.write("r1", "run_manifest.json", run.model_dump_json())
    timing = [
        {"name": "execute", "started_at": "2024-05-02T12:00:01Z", "completed_at": "2024-05-02T12:00:03.5Z"}
    ]
    result = {"unique_id": "model.shop.orders", "status": "success", "timing": timing, "message": "OK"}
    found.write_compressed("r1", "dbt/run_results.json", json.dumps({"results": [result]}).encode())
    return found


def test_nothing_is_sent_where_nothing_is_configured(records: Records) -> None:
    assert after_run(records, "r1") == []


def test_a_trace_arrives(collector: Collector, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=abc")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=data")
    assert after_run(records, "r1") == []
    request = ExportTraceServiceRequest.FromString(collector.got["/v1/traces"])
    (sent,) = request.resource_spans
    about = {one.key: one.value.string_value for one in sent.resource.attributes}
    assert about["service.name"] == "slipway"
    assert about["deployment.environment.name"] == "dev"
    assert about["team"] == "data"
    spans = {one.name: one for one in sent.scope_spans[0].spans}
    run, model = spans["slipway run"], spans["model curated.orders"]
    assert f"00-{run.trace_id.hex()}-{run.parent_span_id.hex()}-01" == PARENT
    assert (model.trace_id, model.parent_span_id) == (run.trace_id, run.span_id)
    assert run.start_time_unix_nano == NOW.timestamp() * 1e9
    assert run.end_time_unix_nano - run.start_time_unix_nano == 90_000_000_000
    assert model.end_time_unix_nano - model.start_time_unix_nano == 2_500_000_000
    assert collector.headers["api-key"] == "abc"


def test_metrics_arrive(collector: Collector, records: Records) -> None:
    assert after_run(records, "r1") == []
    request = ExportMetricsServiceRequest.FromString(collector.got["/v1/metrics"])
    metrics = {one.name: one for one in request.resource_metrics[0].scope_metrics[0].metrics}
    (point,) = metrics["slipway.run.duration"].gauge.data_points
    assert (point.as_double, metrics["slipway.run.duration"].unit) == (90, "s")
    assert len(metrics["slipway.run.outcome"].gauge.data_points) == len(Outcome)


@pytest.mark.parametrize(
    ("variable", "value", "sent"),
    [
        ("OTEL_SDK_DISABLED", "true", set()),
        ("OTEL_TRACES_EXPORTER", "none", {"/v1/metrics"}),
        ("OTEL_METRICS_EXPORTER", "none", {"/v1/traces"}),
        ("OTEL_SERVICE_NAME", "shop", {"/v1/traces", "/v1/metrics"}),
    ],
)
def test_what_the_specification_lets_one_switch_off_is_not_sent(
    collector: Collector,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    sent: set[str],
) -> None:
    monkeypatch.setenv(variable, value)
    assert after_run(records, "r1") == []
    assert set(collector.got) == sent


def test_a_receiver_that_refuses_is_one_line_for_each(collector: Collector, records: Records) -> None:
    collector.status = 401
    lines = after_run(records, "r1")
    assert [line.partition(" could")[0] for line in lines] == [
        "telemetry: The trace of run r1",
        "telemetry: The metrics of run r1",
    ]
    assert "401" in lines[0]


def test_nobody_listens(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    assert len(after_run(records, "r1")) == 2


def test_a_file_for_prometheus_is_replaced_as_a_whole(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "textfile"
    folder.mkdir()
    monkeypatch.setenv("SLIPWAY_PROMETHEUS_TEXTFILE_DIR", str(folder))
    (folder / "slipway-dev.prom").write_text("slipway_old 1\n", encoding="utf-8")
    assert after_run(records, "r1") == []
    assert [one.name for one in folder.iterdir()] == ["slipway-dev.prom"]
    text = (folder / "slipway-dev.prom").read_text(encoding="utf-8")
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert "slipway_old" not in families
    (finished,) = families["slipway_run_finished_timestamp_seconds"].samples
    assert finished.value == (NOW + timedelta(seconds=90)).timestamp()
    assert finished.labels == {"environment": "dev"}
    outcomes = {one.labels["outcome"]: one.value for one in families["slipway_run_outcome"].samples}
    assert {name for name, value in outcomes.items() if value} == {"published"}


def test_a_folder_that_is_not_there_is_reported(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_PROMETHEUS_TEXTFILE_DIR", str(tmp_path / "none"))
    (line,) = after_run(records, "r1")
    assert "cannot be written" in line
    assert "SLIPWAY_PROMETHEUS_TEXTFILE_DIR" in line


def test_a_run_without_records_has_no_telemetry(collector: Collector, tmp_path: Path) -> None:
    assert after_run(Records(environment(tmp_path)), "r9") == []
    assert collector.got == {}


def test_damaged_results_are_reported_and_metrics_arrive(collector: Collector, records: Records) -> None:
    path = next(Path(records.location("r1").removeprefix("file://")).rglob("run_results.json.gz"))
    path.write_bytes(path.read_bytes()[:20])
    (line,) = after_run(records, "r1")
    assert "dbt/run_results.json.gz of run r1 cannot be read" in line
    assert set(collector.got) == {"/v1/metrics"}
