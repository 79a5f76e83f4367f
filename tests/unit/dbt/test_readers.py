"""Deprecation dates of models: which have passed, which is the next, and who still reads the model."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace as Some

from slipway.dbt.readers import deprecated_models, next_deprecation, tables_read

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def model(name: str, *reads: str, materialized: str = "table", **more: object) -> Some:
    given: dict[str, object] = {"version": None, "latest_version": None, "deprecation_date": None, **more}
    return Some(
        unique_id=f"model.{name}",
        resource_type="model",
        name=name,
        alias=name,
        schema="serving",
        depends_on_nodes=list(reads),
        config=Some(materialized=materialized),
        **given,
    )


def other(kind: str, name: str, *reads: str) -> Some:
    return Some(unique_id=f"{kind}.{name}", resource_type=kind, name=name, depends_on_nodes=list(reads))


def project(
    *nodes: Some,
    exposures: tuple[Some, ...] = (),
    semantic: tuple[Some, ...] = (),
    metrics: tuple[Some, ...] = (),
) -> Some:
    def by_id(given: tuple[Some, ...]) -> dict[str, Some]:
        return {one.unique_id: one for one in given}

    return Some(
        nodes=by_id(nodes),
        exposures=by_id(exposures),
        semantic_models=by_id(semantic),
        metrics=by_id(metrics),
        saved_queries={},
    )


def test_readers_of_a_deprecated_model_learn_what_to_refer_to() -> None:
    past = datetime(2024, 5, 31, tzinfo=UTC)
    readers = [model(f"reader_{at}", "model.old") for at in range(5)]
    (found,) = deprecated_models(
        project(model("old", deprecation_date=past, version=1, latest_version=2), *readers), NOW
    )
    assert found[1] == (
        "Model old v1 is deprecated since 2024-05-31, and still read by reader_0, reader_1, reader_2, reader_3 and 1 more. Refer to v2 there."
    )
    (found,) = deprecated_models(project(model("old", deprecation_date=past)), NOW)
    assert found[1].endswith(
        "nothing in the project reads it. Delete it when nobody else reads serving.old, and take the table away with"
        " slipway retire serving.old."
    )


def test_dates_in_the_future_are_known_and_not_reported() -> None:
    first, second = datetime(2024, 7, 1, tzinfo=UTC), datetime(2024, 8, 1)  # noqa: DTZ001 - dbt's may have no zone
    found = project(
        model("a", deprecation_date=second),
        model("b", deprecation_date=first),
        model("c", deprecation_date=datetime(2024, 1, 1, tzinfo=UTC)),
    )
    assert [one.name for one, _ in deprecated_models(found, NOW)] == ["c"]
    assert next_deprecation(found, NOW) == first
    assert next_deprecation(found, first) == second.replace(tzinfo=UTC)
    assert next_deprecation(found, datetime(2025, 1, 1, tzinfo=UTC)) is None


def test_an_exposure_reads_tables_through_metrics_and_views() -> None:
    found = project(
        model("table"),
        model("view", "model.table", materialized="view"),
        semantic=(other("semantic_model", "s", "model.view"),),
        metrics=(other("metric", "m", "semantic_model.s"), other("metric", "n", "metric.m")),
    )
    assert list(tables_read(found, ["metric.n", "source.unknown"])) == ["model.table"]
