"""Send a run's trace and metrics over OTLP, and write its metrics as a text file for Prometheus.

Both are read from the records of the run after it has ended, so nothing here can change how it ended. What cannot be
delivered is one line for whoever watches, and is not tried again: the records stay.

OTLP is configured by the environment variables of the OpenTelemetry specification
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), the parent of the trace by ``TRACEPARENT``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import __version__
from slipway.errors import SlipwayError, UnavailableError
from slipway.records.run_manifest import RunManifest
from slipway.records.store import Records
from slipway.secrets import hide, one_line
from slipway.settings import Settings, variable
from slipway.telemetry.measurements import Gauge, Span, gauges_of, trace_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import Tracer

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def after_run(records: Records, run_id: str) -> list[str]:
    """Deliver what a run's records say, where the environment names a receiver.

    Returns:
        A line for each receiver that could not be reached.
    """
    receivers = list(_receivers(os.environ))
    if not receivers:
        return []
    lines = []
    try:
        manifest = records.manifest(run_id)
        if manifest is None or manifest.scratch:
            return []
        for name, deliver in receivers:
            try:
                deliver(records, manifest)
            except SlipwayError as error:
                lines.append(f"telemetry: {error.line()}")
            except Exception as error:  # noqa: BLE001 - the run is over: whatever is wrong here must not hide how it ended
                reason = hide(one_line(str(error))) or type(error).__name__
                lines.append(f"telemetry: {name} of run {run_id} were not delivered: {reason}")
    except SlipwayError as error:
        lines.append(f"telemetry: {error.line()}")
    return lines


Deliver = Callable[[Records, RunManifest], None]


def _receivers(variables: Mapping[str, str]) -> Iterator[tuple[str, Deliver]]:
    """What is delivered, and the function that does it."""
    if variables.get("OTEL_SDK_DISABLED", "").lower() != "true":
        for name, deliver in (("traces", _send_trace), ("metrics", _send_metrics)):
            own = f"OTEL_EXPORTER_OTLP_{name.upper()}_ENDPOINT"
            wanted = variables.get(f"OTEL_{name.upper()}_EXPORTER", "otlp")
            if (variables.get(_ENDPOINT) or variables.get(own)) and wanted == "otlp":
                yield name, deliver
    if Settings.read().prometheus_textfile_dir:
        yield "metrics for Prometheus", _write_textfile


def _send_trace(records: Records, manifest: RunManifest) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    run_results = records.run_results(manifest.run_id) or {}
    collected = InMemorySpanExporter()
    provider = TracerProvider(resource=_resource(manifest), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(collected))
    carrier = {
        name: value for name in ("traceparent", "tracestate") if (value := os.environ.get(name.upper()))
    }
    tracer = provider.get_tracer("slipway", __version__)
    _record(tracer, trace_of(manifest, run_results), TraceContextTextMapPropagator().extract(carrier))
    with _reason("the trace", manifest) as raise_failure:
        exporter = OTLPSpanExporter()
        if exporter.export(collected.get_finished_spans()) is not SpanExportResult.SUCCESS:
            raise_failure()


def _record(tracer: Tracer, span: Span, context: Context | None) -> None:
    """Give a span and those below it to OpenTelemetry, with the times at which they were."""
    from opentelemetry.trace import Status, StatusCode, set_span_in_context

    begun = tracer.start_span(
        span.name, context, attributes=span.attributes, start_time=_nanoseconds(span.start)
    )
    for child in span.children:
        _record(tracer, child, set_span_in_context(begun, context))
    if span.error:
        begun.set_status(Status(StatusCode.ERROR, span.error))
    begun.end(_nanoseconds(span.end))


def _send_metrics(records: Records, manifest: RunManifest) -> None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=_resource(manifest), shutdown_on_exit=False)
    meter = provider.get_meter("slipway", __version__)
    for gauge in _gauges(records, manifest):
        instrument = meter.create_gauge(gauge.name, gauge.unit, gauge.description)
        for labels, value in gauge.samples:
            instrument.set(value, labels)
    data = reader.get_metrics_data()
    with _reason("the metrics", manifest) as raise_failure:
        if data is None or OTLPMetricExporter().export(data) is not MetricExportResult.SUCCESS:
            raise_failure()


def _write_textfile(records: Records, manifest: RunManifest) -> None:
    """A file for the textfile collector of Prometheus' node exporter, replaced as a whole."""
    from prometheus_client import CollectorRegistry, write_to_textfile
    from prometheus_client import Gauge as Written

    registry = CollectorRegistry()
    for gauge in _gauges(records, manifest):
        names = sorted({name for labels, _ in gauge.samples for name in labels})
        written = Written(_prometheus_name(gauge), gauge.description, names, registry=registry)
        for labels, value in gauge.samples:
            written.labels(**labels).set(value)
    folder = Path(str(Settings.read().prometheus_textfile_dir))
    path = folder / f"slipway-{manifest.target}.prom"
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be written",
            error.strerror or str(error),
            f"Make the folder that {variable('prometheus_textfile_dir')} names, and let this user write there",
        ) from None


def _prometheus_name(gauge: Gauge) -> str:
    """The name of a gauge by the rules of Prometheus, which want the unit in it."""
    unit = "_timestamp_seconds" if gauge.is_moment else "_seconds" if gauge.unit == "s" else ""
    return f"{gauge.name.replace('.', '_')}{unit}"


def _gauges(records: Records, manifest: RunManifest) -> list[Gauge]:
    return gauges_of(manifest, records.last_release())


def _resource(manifest: RunManifest) -> Resource:
    """What all of it is about; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` go before it."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = Resource(
        {
            "service.name": "slipway",
            "service.version": __version__,
            "deployment.environment.name": manifest.target,
            "host.name": manifest.host,
        }
    )
    return ours.merge(OTELResourceDetector().detect())


@contextmanager
def _reason(what: str, manifest: RunManifest) -> Iterator[Callable[[], None]]:
    """Collect what the exporter logs, instead of showing it, so that it can be said in one line."""
    logger, said = logging.getLogger("opentelemetry"), list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False

    def fail() -> None:
        raise UnavailableError(
            f"{what[0].upper()}{what[1:]} of run {manifest.run_id} could not be sent",
            hide(one_line(said[-1])) if said else "the receiver did not accept it",
            f"Check {_ENDPOINT} and that something listens there",
        )

    try:
        yield fail
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
