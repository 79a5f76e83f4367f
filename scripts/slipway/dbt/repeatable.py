"""What a run that changed nothing depended on, from dbt's manifest and the session, and what only dbt can decide again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from pyiceberg.table import Table

from slipway.code.versions import covers, digest_of_code
from slipway.dbt.configuration import tables_of
from slipway.dbt.keys import jinja_code, python_code
from slipway.dbt.keys.jinja_code import MACHINERY
from slipway.dbt.keys.node_key import is_hook
from slipway.dbt.rendered import looked_at, sources_of
from slipway.dbt.session import Session
from slipway.landing.area import listing_digest
from slipway.names import TableName
from slipway.records.run_manifest import Basis, Beginning, RunManifest, Status
from slipway.runs.repeat import local_files, settings, tables

_EVERY = "\0"  # no variable has this name: found only where code may read all of them
_TABLES = frozenset({"model", "seed", "snapshot", "test"})
_OTHERS = frozenset({"exposure", "operation", "unit_test"})
_MATERIALIZED = frozenset({"table", "incremental", "view", "ephemeral", "seed", "snapshot", "test", "unit"})
_ENGINE = ("dbt", "dbt_duckdb")


def basis_of(
    session: Session,
    manifest: Any,
    results: Sequence[Any],
    run: RunManifest,
    own: list[Path],
) -> Basis | None:
    """What a run depended on that changed nothing; None for one that is not to be used for the next one.

    Args:
        session: the run.
        manifest: dbt's.
        results: dbt's, one a node.
        run: its run manifest.
        own: files that were parsed or imported, without those of installed packages.
    """
    before = session.request.beginning
    if before is None:
        return None
    try:
        obstacle = next(_obstacles(session, manifest, results, run, before, own), "")
    except (OSError, UnicodeError) as error:
        obstacle = str(error)
    if obstacle:
        return Basis(run_id=run.run_id, decided_by=run.run_id, obstacle=obstacle)
    names = _variables(manifest, session.project, own)
    listing = session.intake.landing.listing()
    digest = listing_digest(
        listing, session.intake.landing.area.others() if session.intake.landing.feeds else []
    )
    if why := session.intake.landing.unsettled(listing, session.intake.ingested):
        return Basis(run_id=run.run_id, decided_by=run.run_id, obstacle=why)
    return Basis(
        run_id=run.run_id,
        decided_by=run.run_id,
        facts={
            **before.facts,
            "settings": settings(session.environment, before, names),
            "landing": digest,
            "tables": tables(session.pinned.own_locations()),
        },
        variables=names,
        others=_others(session),
        files=local_files(_metadata_files(session)),
        made=sorted(tables_of(manifest)),
    )


def _obstacles(
    session: Session,
    manifest: Any,
    results: Sequence[Any],
    run: RunManifest,
    before: Beginning,
    own: list[Path],
) -> Iterator[str]:
    """Why the next run cannot be decided without dbt, in words."""
    yield from _of_the_command(session)
    carried = {test.unique_id for test in run.tests.results if test.carried}
    for result in results:
        yield from _of_a_result(session, manifest, result)
        yield from _of_a_test(result.node, carried)
    yield from _of_the_project(session.project, manifest, own)
    if left := covers(session.project, own):
        yield f"{left} is read from an unusual place"
    if digest_of_code(session.project) != before.facts["code"]:
        yield "the code changed while the run was under way"


def _of_the_project(project: Path, manifest: Any, own: list[Path]) -> Iterator[str]:
    for node in manifest.nodes.values():
        if is_hook(node):
            yield f"{node.name} is a hook of the project"
    for name, text in _texts(manifest, project, own):
        if used := looked_at([text]):
            yield f"{name} uses {', '.join(used)}"
    if _EVERY in _variables(manifest, project, own):
        yield "code reads environment variables by names that are computed"


def _of_the_command(session: Session) -> Iterator[str]:
    from dbt.flags import get_flags

    flags = get_flags()
    for name in ("FULL_REFRESH", "EMPTY", "SAMPLE", "DEFER", "STATE", "EVENT_TIME_START", "EVENT_TIME_END"):
        if getattr(flags, name, None):
            yield f"dbt's {name.lower()} is set"
    request = session.request
    if request.force or request.scratch or request.pins is not None or session.is_slice or session.continues:
        yield "the run is forced, a slice, pinned, or continues another"
    if (
        session.pinned.renamed
        or session.candidate.retired
        or session.candidate.staged
        or session.intake.landed
    ):
        yield "tables were renamed or files landed"


def _of_a_result(session: Session, manifest: Any, result: Any) -> Iterator[str]:
    node = result.node
    if str(result.status) not in (Status.SUCCESS, Status.PASS, Status.NO_OP):
        yield f"{node.unique_id} ended as {result.status}"
    if node.resource_type in _OTHERS:
        return
    if node.resource_type not in _TABLES:
        yield f"{node.unique_id} is a {node.resource_type}"
        return
    config = node.config
    if config.get("materialized") not in _MATERIALIZED:
        yield f"{node.name} has a materialization of its own"
    if config.get("pre_hook") or config.get("post_hook"):
        yield f"{node.name} has hooks"
    if str(config.get("incremental_strategy") or "") == "microbatch":
        yield f"the batches of {node.name} depend on the clock"
    if config.get("materialized") == "view" and (why := _volatile_view(session, manifest, node)):
        yield f"{node.name} depends on more: {why}"


def _volatile_view(session: Session, manifest: Any, node: Any) -> str:
    if used := looked_at(sources_of(manifest, node)):
        return f"its Jinja uses {', '.join(used)}"
    return session.volatility.why(node.compiled_code or "")


def _of_a_test(node: Any, carried: Collection[str]) -> Iterator[str]:
    if node.resource_type in ("test", "unit_test") and node.unique_id not in carried:
        yield f"test {node.name} is run by every run"


def _texts(manifest: Any, project: Path, own: list[Path]) -> Iterator[tuple[str, str]]:
    """Jinja that is rendered while dbt parses: macros, models' code, and YAML files."""
    for unique_id, macro in manifest.macros.items():
        if macro.package_name not in (*_ENGINE, MACHINERY):
            yield unique_id, macro.macro_sql
    for unique_id, node in manifest.nodes.items():
        if node.resource_type != "seed" and getattr(node, "language", "sql") == "sql":
            yield unique_id, node.raw_code
    yaml = [path for path in own if path.suffix in (".yml", ".yaml")]
    profiles = Path(os.environ.get("DBT_PROFILES_DIR") or project) / "profiles.yml"
    for path in [project / "dbt_project.yml", *yaml, profiles]:
        if path.is_file():
            yield path.name, path.read_text(encoding="utf-8")


def _variables(manifest: Any, project: Path, own: list[Path]) -> list[str]:
    """Names of the environment variables that code reads."""
    macros = [macro.macro_sql for macro in manifest.macros.values() if macro.package_name not in _ENGINE]
    jinja = [*macros, *(text for _, text in _texts(manifest, project, own))]
    python = [node.raw_code for node in manifest.nodes.values() if getattr(node, "language", "") == "python"]
    modules = [source for code in python for source in python_code.modules_of(code)[0].values()]
    every = {_EVERY: ""}
    return sorted(
        {*jinja_code.environment(every, jinja), *python_code.environment(every, [*python, *modules])}
    )


def _others(session: Session) -> dict[str, dict[str, str]]:
    """Tables of other targets that the run read."""
    found: dict[str, dict[str, str]] = {}
    for name, table in session.inputs.read.items():
        database, _, rest = name.partition(".")
        if database != session.environment.name:
            found.setdefault(database, {})[rest] = table.metadata_location
    return found


def _metadata_files(session: Session) -> Iterator[str]:
    for table in _tables(session):
        yield table.metadata_location
        if current := table.current_snapshot():
            yield current.manifest_list
            yield from (one.manifest_path for one in current.manifests(table.io))


def _tables(session: Session) -> list[Table]:
    bases = (session.pinned.base(TableName.parse(node.table or "")) for node in session.nodes.values())
    found = [*session.inputs.read.values(), *(table for table in bases if table is not None)]
    return list({table.metadata_location: table for table in found}.values())
