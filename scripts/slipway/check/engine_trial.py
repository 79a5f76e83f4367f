"""Which models another engine than the configured one could compute, by their code: for a comparison of engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from slipway.check.project_check import ProjectCheck
from slipway.check.spark_translation import check_keyed, translation_error
from slipway.dbt.code_only import CodeOnly, code_only
from slipway.dbt.configuration import strategy_of
from slipway.dbt.model_engines import is_by, obstacle, other_frames
from slipway.dbt.model_writers import replaced_input
from slipway.dbt.nodes import is_python
from slipway.dbt.stubs import Stubs
from slipway.engines.writers import SPARK
from slipway.errors import ConfigError, SlipwayError
from slipway.landing.feeds import Feed, read_feeds


@dataclass(frozen=True)
class EngineTrial:
    """Models of a project for one engine.

    Args:
        engine: its name.
        models: unique ids of the models that it can compute, also of those that it is configured for.
        left: ``layer.table`` of the others to the reason, as part of a sentence.
    """

    engine: str
    models: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def engine_trial(project: Path, target: str | None, engine: str) -> EngineTrial:
    """Which models an engine can compute; only code is read.

    What DuckDB makes by itself, such as seeds and views, is no model of either engine, and is left out.

    Args:
        project: folder of dbt_project.yml.
        target: the dbt target; the profile's by default.
        engine: one of ``writers.ENGINES``.

    Raises:
        ConfigError: dbt cannot parse the project.
    """
    found, stubs = EngineTrial(engine), Stubs()
    with code_only(project, target, stubs) as code:
        if engine == SPARK:
            ProjectCheck(project, code).whole()  # by which the columns of all tables are known
        manifest: Any = code.manifest
        feeds = {feed.name: feed for feed in read_feeds(project)}
        for unique_id, node in sorted(manifest.nodes.items()):
            if node.resource_type != "model" or not is_by(SPARK, node):
                continue
            why = other_frames(node, engine)
            if not why and engine == SPARK:
                why = _obstacle(code, node, feeds)
            if why:
                found.left[f"{node.schema}.{node.alias}"] = why
            else:
                found.models.append(unique_id)
    return found


def _obstacle(code: CodeOnly, node: Any, feeds: Mapping[str, Feed]) -> str:
    """Why Spark cannot compute a model, or why that is not known; empty if it can."""
    manifest: Any = code.manifest
    try:
        if why := obstacle(manifest, node, strategy_of) or replaced_input(manifest, node, feeds):
            return why
        if is_python(node):
            return ""
        sql = code.query(node.unique_id, engine=SPARK).strip().rstrip(";")
        if unknown := next(iter(code.stubs.unknown.values()), ""):
            return unknown
        code.cursor.execute(f"describe\n{sql}")
        refused = translation_error(code, node, sql)
        check_keyed(code, node, sql)
    except ConfigError as error:
        return error.why or error.what
    except (SlipwayError, duckdb.Error) as error:
        return str(error).partition("\n")[0]
    return refused.why if refused else ""
