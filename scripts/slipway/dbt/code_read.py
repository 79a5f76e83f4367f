"""What a run has read besides tables: its code, as it is and as it was read, and for a run that changed nothing all that decided so."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from dbt.adapters.factory import get_include_paths, load_plugin
from pyiceberg.table import Table

from slipway.code.git import Finding
from slipway.code.versions import code_of, covers, digest_of_code, installation, is_installed, settled
from slipway.dbt.command import flag
from slipway.dbt.configuration import tables_of
from slipway.dbt.keys import jinja_code, python_code
from slipway.dbt.keys.jinja_code import MACHINERY
from slipway.dbt.keys.node_key import is_hook
from slipway.dbt.nodes import DbtManifest, DbtNode, has_jinja, is_python
from slipway.dbt.readers import next_deprecation
from slipway.dbt.volatility import Volatility, changing_names, sources_of
from slipway.environments.profiles import ADAPTER
from slipway.errors import SlipwayError
from slipway.iceberg.metadata_files import manifests_of
from slipway.landing.area import listing_digest
from slipway.names import TableName
from slipway.records.node_results import Status
from slipway.records.run_manifest import Basis, Code, RunManifest
from slipway.runs.intake import Intake
from slipway.runs.pinned_tables import PinnedTables
from slipway.runs.repeat import local_files, settings, tables
from slipway.runs.run_candidate import RunCandidate
from slipway.runs.run_inputs import RunInputs
from slipway.runs.run_request import RunRequest
from slipway.runs.run_results import RunNodes
from slipway.secrets import one_line

_OWN = ("slipway", "dbt.adapters.slipway")


def code_read(
    begun: Code, project: Path, manifest: DbtManifest | None, imported: Iterable[ModuleType]
) -> Code:
    """The code of a run that is over.

    Args:
        begun: the code as the run began.
        project: folder of dbt_project.yml.
        manifest: dbt's, None where it could not parse.
        imported: the modules of this process.
    """
    ours = _parsed(manifest, project) if manifest else {}
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    modules = {
        path: module
        for module in imported
        if getattr(module, "__file__", None) not in (None, program) and (path := _own_file(module, project))
    }
    changed = [*_parsed_otherwise(ours), *_compiled_otherwise(modules)]
    return settled(begun, code_of(project, [*ours, *modules]), changed)


def _parsed(manifest: DbtManifest, project: Path) -> dict[Path, Any]:
    """The files that dbt has parsed, other than those of installed packages.

    They are named where they are now: a parse that was taken over from a project or an environment that was moved names its old folders.
    """
    own = manifest.metadata.project_name
    included = _included()
    # most files are macros of dbt and of its adapters: of those only the folder is looked at, once
    roots = {file.path.project_root for file in manifest.files.values()}
    software = {root for root in roots if is_installed(Path(root))}
    moved = {file.path.project_root for file in manifest.files.values() if file.project_name == own}
    before = [os.path.normpath(root) for root in moved]
    found = {}
    for file in manifest.files.values():
        if file.project_name != own and file.path.project_root in software:
            continue
        path = Path(file.path.absolute_path)
        if (folder := included.get(file.project_name)) and path.is_relative_to(file.path.project_root):
            path = folder / path.relative_to(file.path.project_root)
        root = next((root for root in before if path.is_relative_to(root)), None)
        path = project / path.relative_to(root) if root else path
        elsewhere = file.project_name == MACHINERY and not path.is_relative_to(project)
        if not (elsewhere or is_installed(path)):
            found[path] = file
    return found


@cache
def _included() -> dict[str, Path]:
    """Where dbt's own macros and those of adapters are, by the name of their package."""
    load_plugin(ADAPTER)
    described = {
        folder: (folder / "dbt_project.yml").read_text(encoding="utf-8")
        for folder in get_include_paths(ADAPTER)
    }
    return {yaml.safe_load(text)["name"]: folder for folder, text in described.items()}


def _parsed_otherwise(files: dict[Path, Any]) -> Iterator[Finding]:
    """Files of which dbt has parsed another content, now or in the parse that it took over from an earlier command."""
    for path, file in files.items():
        if file.checksum.name != "sha256":  # of a large seed dbt keeps no digest
            continue
        try:
            content = path.read_bytes().decode("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue  # compared with the commit by itself
        if hashlib.sha256(content.encode()).hexdigest() != file.checksum.checksum:
            yield (
                str(path),
                "dbt parsed another content; remove partial_parse.msgpack from dbt's target folder",
            )


def _compiled_otherwise(modules: dict[Path, ModuleType]) -> Iterator[Finding]:
    """Modules of which Python has kept other bytecode than their source gives, under the same time and size."""
    for path, module in modules.items():
        cached = getattr(module, "__cached__", None)
        loader = getattr(module.__spec__, "loader", None)
        if _is_slipways(module.__name__) or not cached or not Path(cached).exists():
            continue
        try:
            kept = loader.get_code(module.__name__) if loader else None
            if kept is not None and kept != compile(path.read_bytes(), str(path), "exec", dont_inherit=True):
                yield str(path), f"Python has other bytecode of it; remove {cached}"
        except (OSError, ImportError, SyntaxError, ValueError):
            yield str(path), "its bytecode cannot be compared with its source"


def _own_file(module: ModuleType, project: Path) -> Path | None:
    """The file of a module that is neither Python's nor of an installed package."""
    name, place = getattr(module, "__name__", ""), str(module.__file__)
    if ".." not in place and place.startswith(installation()):  # most of a process's thousands of modules
        return None
    place = os.path.abspath(place)  # noqa: PTH100 - links stay
    if place.startswith(installation()):
        return None
    path = Path(place)
    if path.suffix == ".pyc" and (source := _source(path)):
        path = source
    if path.is_relative_to(project):
        return path
    # slipway itself may be a tool that is kept elsewhere
    if _is_slipways(name) or is_installed(path) or _is_of_distribution(name, path):
        return None
    return path


def _is_slipways(name: str) -> bool:
    return any(f"{name}.".startswith(f"{own}.") for own in _OWN)


def own_files(manifest: DbtManifest, project: Path) -> list[Path]:
    """Files that dbt has parsed, and modules of this process, that are the project's own or those of its packages, without Slipway's."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    named = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
    # in a checkout of Slipway its own modules are below the project; the digest of software has them
    others = [one for one in named if one.__file__ != program and not _is_slipways(one.__name__)]
    modules = [path for one in others if (path := _own_file(one, project))]
    files = _parsed(manifest, project).items()
    return [*(path for path, file in files if file.project_name != MACHINERY), *modules]


def _source(path: Path) -> Path | None:
    try:
        return Path(importlib.util.source_from_cache(str(path)))
    except ValueError:
        return None


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in packages_distributions().items()}


def _is_of_distribution(name: str, path: Path) -> bool:
    """Whether a module lies where a distribution was installed, in a folder of its own on the path."""
    place = path.resolve()
    folders = [Path(entry or ".").resolve() for entry in sys.path]
    # what is installed anywhere is read only for a module that lies where something is
    if not any(place.is_relative_to(folder) and any(folder.glob("*.dist-info")) for folder in folders):
        return False
    for found in _distributions().get(name.partition(".")[0], []):
        try:
            root = Path(str(distribution(found).locate_file(""))).resolve()
        except PackageNotFoundError:
            continue
        if any(root.glob(f"{found.replace('-', '_')}-*.dist-info")) and place.is_relative_to(root):
            return True
    return False


_EVERY = "\0"  # no variable has this name: found only where code may read all of them
_TABLES = frozenset({"model", "seed", "snapshot", "test"})
_OTHERS = frozenset({"exposure", "operation", "saved_query", "unit_test"})
_MATERIALIZED = frozenset({"table", "incremental", "view", "ephemeral", "seed", "snapshot", "test", "unit"})
_ENGINE = ("dbt", "dbt_duckdb")


def basis_of(
    run: RunManifest,
    *,
    request: RunRequest,
    project: Path,
    manifest: DbtManifest,
    results: Sequence[Any],
    own: list[Path],
    pinned: PinnedTables,
    candidate: RunCandidate,
    intake: Intake,
    inputs: RunInputs,
    volatility: Volatility,
    nodes: RunNodes,
    continued: bool,
) -> Basis | None:
    """What a run depended on that changed nothing; None for one that is not to be used for the next one.

    It is given the run manifest, dbt's results, the project's ``own_files``, and parts of a ``session.Session``.
    """
    before = request.beginning
    if before is None:
        return None

    def obstacles() -> Iterator[str]:
        """Why the next run cannot be decided without dbt, in words."""
        yield from _of_the_command(request)
        if pinned.places.is_slice or continued:
            yield "the run is a slice, or continues another"
        if pinned.renamed or candidate.retired or candidate.staged or intake.landed:
            yield "tables were renamed or files landed"
        carried = {test.unique_id for test in run.tests.results if test.carried}
        for result in results:
            yield from _of_a_result(manifest, result, volatility)
            yield from _of_a_test(result.node, carried)
        yield from _of_the_project(project, manifest, own)
        if left := covers(project, own):
            yield f"{left} is read from an unusual place"
        if digest_of_code(project) != before.facts["code"]:
            yield "the code changed while the run was under way"

    try:
        obstacle = next(obstacles(), "")
    except (OSError, UnicodeError) as error:
        obstacle = str(error)
    landing = intake.landing
    listing = {} if obstacle else landing.listing()
    bases = (pinned.base(TableName.parse(node.table or "")) for node in nodes.known.values())
    files, damage = _files([*inputs.read.values(), *filter(None, bases)])
    if why := obstacle or landing.unsettled(listing, intake.ingested) or damage:
        return Basis(run_id=run.run_id, decided_by=run.run_id, obstacle=why)
    names, environment = _variables(manifest, project, own), pinned.places.inputs.environment
    return Basis(
        run_id=run.run_id,
        decided_by=run.run_id,
        facts={
            **before.facts,
            "settings": settings(environment, before, names),
            "landing": listing_digest(listing, landing.area.others() if landing.feeds else []),
            "tables": tables(pinned.own_locations()),
        },
        until=next_deprecation(manifest, request.started_at),
        variables=names,
        others=_others(environment.name, inputs.read),
        files=files,
        made=sorted(tables_of(manifest)),
    )


def _of_the_project(project: Path, manifest: DbtManifest, own: list[Path]) -> Iterator[str]:
    for node in manifest.nodes.values():
        if is_hook(node):
            yield f"{node.name} is a hook of the project"
    for name, text in _texts(manifest, project, own):
        if used := changing_names([text]):
            yield f"{name} uses {', '.join(used)}"
    if _EVERY in _variables(manifest, project, own):
        yield "code reads environment variables by names that are computed"


def _of_the_command(request: RunRequest) -> Iterator[str]:
    for name in ("FULL_REFRESH", "EMPTY", "SAMPLE", "DEFER", "STATE", "EVENT_TIME_START", "EVENT_TIME_END"):
        if flag(name):
            yield f"dbt's {name.lower()} is set"
    if request.force or request.scratch or request.pins is not None:
        yield "the run is forced or pinned, or a scratch run"


def _of_a_result(manifest: DbtManifest, result: Any, volatility: Volatility) -> Iterator[str]:
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
    if config.get("materialized") == "view" and (why := _volatile_view(manifest, node, volatility)):
        yield f"{node.name} depends on more than its key: {why}"


def _volatile_view(manifest: DbtManifest, node: DbtNode, volatility: Volatility) -> str:
    if used := changing_names(sources_of(manifest, node)):
        return f"its Jinja uses {', '.join(used)}"
    return volatility.why(getattr(node, "compiled_code", None) or "")


def _of_a_test(node: DbtNode, carried: Collection[str]) -> Iterator[str]:
    if node.resource_type in ("test", "unit_test") and node.unique_id not in carried:
        yield f"test {node.name} is run by every run"


def _texts(manifest: DbtManifest, project: Path, own: list[Path]) -> Iterator[tuple[str, str]]:
    """Jinja that is rendered while dbt parses: macros, models' code, and YAML files."""
    for unique_id, macro in manifest.macros.items():
        if macro.package_name not in (*_ENGINE, MACHINERY):
            yield unique_id, macro.macro_sql
    for unique_id, node in manifest.nodes.items():
        if has_jinja(node):
            yield unique_id, node.raw_code
    yaml = [path for path in own if path.suffix in (".yml", ".yaml")]
    profiles = Path(os.environ.get("DBT_PROFILES_DIR") or project) / "profiles.yml"
    for path in [project / "dbt_project.yml", *yaml, profiles]:
        if path.is_file():
            yield path.name, path.read_text(encoding="utf-8")


def _variables(manifest: DbtManifest, project: Path, own: list[Path]) -> list[str]:
    """Names of the environment variables that code reads."""
    macros = [macro.macro_sql for macro in manifest.macros.values() if macro.package_name not in _ENGINE]
    jinja = [*macros, *(text for _, text in _texts(manifest, project, own))]
    python = [node.raw_code for node in manifest.nodes.values() if is_python(node)]
    modules = [source for code in python for source in python_code.modules_of(code)[0].values()]
    every = {_EVERY: ""}
    return sorted(
        {*jinja_code.environment(every, jinja), *python_code.environment(every, [*python, *modules])}
    )


def _others(own: str, read: Mapping[str, Table]) -> dict[str, dict[str, str]]:
    """Tables of other targets that the run read."""
    found: dict[str, dict[str, str]] = {}
    for name, table in read.items():
        database, _, rest = name.partition(".")
        if database != own:
            found.setdefault(database, {})[rest] = table.metadata_location
    return found


def _files(read: Iterable[Table]) -> tuple[dict[str, int], str]:
    """Size of each metadata file on this machine, by path; or why one of a table that nothing had to read cannot be read."""
    try:
        return local_files(_metadata_files(read)), ""
    except (OSError, SlipwayError) as error:
        return {}, one_line(str(error))


def _metadata_files(read: Iterable[Table]) -> Iterator[str]:
    for table in {table.metadata_location: table for table in read}.values():
        yield table.metadata_location
        if current := table.current_snapshot():
            yield current.manifest_list
            manifests = manifests_of(current, table.io, ".".join(table.name()))
            yield from (one.manifest_path for one in manifests)
