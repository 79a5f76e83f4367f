"""Looks at an environment as it is: the facts that a plan of maintenance is made from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from slipway.adapters.iceberg.reading import data_files
from slipway.adapters.iceberg.tables import TableId, Tables
from slipway.adapters.iceberg.write.compact import check_compactable
from slipway.adapters.iceberg.write.rewrite import live_files
from slipway.adapters.maintenance.history import read_history
from slipway.adapters.maintenance.locations import canonical
from slipway.adapters.maintenance.references import References
from slipway.adapters.objects import object_store
from slipway.adapters.records import ROOT, Records
from slipway.domain.errors import SlipwayError
from slipway.domain.maintenance.compaction import LiveFile
from slipway.domain.maintenance.history import Damage, History
from slipway.domain.maintenance.protection import kept
from slipway.domain.maintenance.steps import Delete, Folder, Found, Layout, orphans

_FOLDERS = ("data", "metadata")
_SPARED = ("version-hint.text",)  # of catalogs that are files


@dataclass(frozen=True)
class Survey:
    """An environment as it was found.

    Args:
        history: what decides what is kept.
        folders: what lies in the folder of every table.
        roots: where these folders are.
        there: metadata files that are kept and exist, as they are recorded.
    """

    history: History
    folders: Mapping[str, Folder]
    roots: Mapping[str, str]
    there: Collection[str] = field(repr=False)


def survey(
    tables: Tables, records: Records, variables: Mapping[str, Any], now: datetime, older_than: timedelta
) -> Survey:
    """List the tables' folders and find out what of them is in use.

    Args:
        tables: the environment.
        records: its records.
        variables: the project's vars.
        now: the moment that ages are counted from.
        older_than: how long files are left alone.

    Raises:
        UnavailableError: the catalog or the store cannot be read.
        SlipwayError: a record cannot be read.
    """
    history = read_history(tables, records, variables, now, older_than)
    roots = _roots(tables, history)
    # a folder that two names share is listed under the first
    first = {root: name for name, root in reversed(roots.items())}
    listed = {name: _listed(tables, root) for root, name in first.items()}
    references, damaged = References(tables), dict(history.damaged)
    for name in sorted(roots.keys() | history.tables.keys()):
        known = history.tables.get(name)
        location = known.location if known else None
        if why := references.add(identifier_of(name), location, kept(history, name)):
            damaged.setdefault(name, Damage(location or "", why))
    why_not = {roots[name]: found.why for name, found in damaged.items() if name in roots}
    folders = {
        name: Folder(
            objects,
            references.named,
            why_not.get(roots[name], "") or _linked(roots[name]) or _why_not(tables, history, name, objects),
        )
        for name, objects in listed.items()
    }
    present = {one.location for objects in listed.values() for one in objects}
    there = {state for state in references.states if canonical(state) in present}
    return Survey(replace(history, damaged=damaged), folders, roots, there)


def find_orphans(
    tables: Tables, records: Records, variables: Mapping[str, Any], now: datetime, older_than: timedelta
) -> list[Delete]:
    """What nothing names, table by table, and is older than an age: left behind by processes that died, or let go.

    Args:
        tables: the environment.
        records: its records.
        variables: the project's vars.
        now: the moment that ages are counted from.
        older_than: how long files are left alone.
    """
    found = survey(tables, records, variables, now, older_than)
    unused = {name: orphans(found.history, folder) for name, folder in found.folders.items()}
    return [Delete(name, tuple(objects)) for name, objects in sorted(unused.items()) if objects]


def layout_of(tables: Tables, history: History, name: str) -> Layout:
    """The data files of a table that may be put together."""
    table = tables.load(identifier_of(name), history.tables[name].location)
    try:
        target = check_compactable(table).target
        files = live_files(table)
    except SlipwayError as error:
        return Layout(why_not=error.line())
    spec = table.metadata.default_spec_id
    return Layout(
        [
            LiveFile(file.file_path, file.file_size_in_bytes, str(file.partition))
            for file in files
            if file.spec_id == spec
        ],
        target,
    )


def identifier_of(name: str) -> TableId:
    """Namespace and name of ``layer.table``."""
    namespace, _, table = name.rpartition(".")
    return namespace, table


def _roots(tables: Tables, history: History) -> dict[str, str]:
    """The folder of every table that lies in the warehouse, those of the catalog first."""
    names = sorted(history.names(), key=lambda one: (one not in history.tables, one))
    return {name: root for name in names if (root := _root(tables, history, name))}


def _root(tables: Tables, history: History, name: str) -> str | None:
    if known := history.tables.get(name):
        root = tables.load(identifier_of(name), known.location).metadata.location
    elif name in history.damaged:
        root = history.damaged[name].location.rpartition("/metadata/")[0]
    else:
        recorded = [release.tables[name] for release in history.releases if name in release.tables]
        staged = [one.state.location for one in history.candidates if one.table == name]
        location = recorded[-1].metadata_location if recorded else staged[-1]
        root = location.rpartition("/metadata/")[0]
    warehouse = canonical(tables.environment.warehouse)
    here = canonical(root.rstrip("/")) if root else ""
    inside = here.startswith(f"{warehouse}/") and not f"{here}/".startswith(f"{warehouse}/{ROOT}/")
    return root.rstrip("/") if inside else None


def _listed(tables: Tables, root: str) -> list[Found]:
    store = object_store(root, tables.environment.catalog_properties)
    base = canonical(root)
    return [
        Found(f"{base}/{item.key}", item.size, item.modified)
        for folder in _FOLDERS
        for item in store.entries(folder)
        if item.key.rsplit("/", 1)[-1] not in _SPARED
    ]


def _linked(root: str) -> str:
    """Why nothing may be removed below links: what lies there has another name than it is listed by."""
    base = f"{canonical(root)}/"
    led = [folder for folder in _FOLDERS if not canonical(f"{root}/{folder}/x").startswith(base)]
    return f"its folder {led[0]} is a link that leads out of it" if led else ""


def _why_not(tables: Tables, history: History, name: str, objects: Collection[Found]) -> str:
    """Why nothing of a folder may be removed: the catalog and the store do not agree about it."""
    known = history.tables.get(name)
    if known is None:
        dropped = history.releases and name in history.releases[-1].tables
        return "the last release has it, and the catalog does not name it" if dropped else ""
    table = tables.load(identifier_of(name), known.location)
    base, present = f"{canonical(table.metadata.location)}/", {one.location for one in objects}
    live = [canonical(file.file_path) for file in data_files(table)]
    lost = [path for path in live if path.startswith(base) and path not in present]
    return f"{lost[0].rsplit('/', 1)[-1]} is a file of it and is not there" if lost else ""
