"""The shorter ways that commands of tests take come to the same as those of dbt and pyiceberg."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from logging import LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.events import adapter_types_pb2
from dbt.clients.jinja import MacroStack
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.contracts.graph.manifest import Manifest
from dbt.events import core_types_pb2
from dbt.exceptions import DuplicateMacroNameError
from dbt.include.global_project import PACKAGE_PATH
from dbt_common.clients.system import find_matching
from dbt_common.events import types_pb2
from google.protobuf.json_format import ParseDict, ParseError
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import update_table_metadata
from pyiceberg.types import LongType, NestedField, StringType
from tests.harness import same_sooner
from tests.harness.projects import Workshop

INTERNAL = ["dbt_slipway", "slipway", "dbt_duckdb", "dbt"]
INFO = {"level": "debug", "msg": "Done.", "pid": 7, "ts": "2024-05-01T00:00:01.000250Z", "extra": {"a": "b"}}
EVENTS: dict[str, tuple[dict[str, Any], Any]] = {
    "text": ({"msg": "Note é"}, types_pb2.Note),
    "numbers": ({"version": "=1.11", "log_version": 3}, core_types_pb2.MainReportVersion),
    "nested": (
        {
            "description": "model",
            "status": "OK",
            "index": 1,
            "total": 2,
            "execution_time": 1,
            "node_info": {"node_name": "weights", "meta": {"owner": "depot"}, "node_relation": None},
        },
        core_types_pb2.LogModelResult,
    ),
    "nothing": ({"conn_name": None}, adapter_types_pb2.NewConnection),
    "a time": (
        {
            "command": "dbt parse",
            "success": True,
            "completed_at": "2024-05-01T00:00:01.000250Z",
            "elapsed": 1.5,
        },
        core_types_pb2.CommandCompleted,
    ),
    "with its time": ({"info": INFO}, types_pb2.NoteMsg),
    "with a time of no zone": ({"info": INFO | {"ts": "yesterday"}}, types_pb2.NoteMsg),
    "another type": ({"msg": 1}, types_pb2.Note),
    "unknown field": ({"message": "Note"}, types_pb2.Note),
}


@pytest.fixture
def manifest(workshop: Workshop) -> Manifest:
    """What dbt has parsed of a project."""
    return Manifest.from_msgpack((workshop.target / "partial_parse.msgpack").read_bytes())


def namespace_of(manifest: Manifest, package: str, context: dict[str, Any], node: object) -> MacroNamespace:
    builder = MacroNamespaceBuilder("parcels", package, MacroStack(), INTERNAL, node)
    return builder.build_namespace(manifest.get_macros_by_package(), context)


def seen(found: object) -> object:
    """What there is of macros that are called, to compare."""
    if isinstance(found, dict):
        return {name: seen(one) for name, one in found.items()}
    inside = vars(found)
    return type(found), inside | {"stack": type(inside["stack"])}


@pytest.mark.parametrize("package", ["parcels", "dbt"])
def test_code_calls_the_same_macros(
    package: str, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, of in (("own", "parcels"), ("run_query", "parcels"), ("own", "a_package")):
        given = replace(
            next(iter(manifest.macros.values())), name=name, package_name=of, unique_id=f"macro.{of}.{name}"
        )
        manifest.macros[given.unique_id] = given
    context: dict[str, Any] = {}
    node = object()
    long = namespace_of(manifest, package, context, node)
    monkeypatch.setattr(MacroNamespaceBuilder, "add_macros", same_sooner.add_macros)
    short = namespace_of(manifest, package, context, node)
    assert len(long) > 500
    assert seen(dict(long)) == seen(same_sooner.flat(long)) == seen(same_sooner.flat(short))
    assert [seen(dict(part)) for part in long._search_order()] == [
        seen(dict(part)) for part in short._search_order()
    ]


def test_two_macros_of_one_name_are_refused(manifest: Manifest) -> None:
    macros = [*manifest.macros.values()]
    builder = MacroNamespaceBuilder("parcels", "parcels", MacroStack(), INTERNAL, None)
    with pytest.raises(DuplicateMacroNameError):
        same_sooner.add_macros(builder, [*macros, macros[0]], {})


def test_macros_are_written_the_same(manifest: Manifest) -> None:
    found = [*manifest.macros.values(), *manifest.docs.values()]
    how: dict[str, Any] = {"omit_none": False, "context": {"artifact": True}}
    assert [one.to_dict(**how) for one in found] == [one.to_resource().to_dict(**how) for one in found]


@pytest.mark.parametrize("event", EVENTS)
def test_events_have_the_same_message(event: str) -> None:
    fields, message = EVENTS[event]
    try:
        expected = ParseDict(fields, message())
    except ParseError:
        with pytest.raises(ParseError):
            same_sooner.parse_dict(fields, message())
    else:
        assert same_sooner.parse_dict(fields, message()) == expected


@pytest.mark.parametrize("most", [0, 100, 2 * same_sooner._LONGEST_LINE])
@pytest.mark.parametrize(
    "size", [0, 50, 100, 2 * same_sooner._LONGEST_LINE - 4, 2 * same_sooner._LONGEST_LINE]
)
def test_logs_continue_in_another_file_at_the_same_line(tmp_path: Path, most: int, size: int) -> None:
    (tmp_path / "dbt.log").touch()
    os.truncate(tmp_path / "dbt.log", size)
    record = LogRecord("a", 10, "a.py", 1, "line", (), None)
    with closing(RotatingFileHandler(tmp_path / "dbt.log", maxBytes=most)) as handler:
        expected = RotatingFileHandler.shouldRollover(handler, record)
        short = same_sooner.should_roll_over(RotatingFileHandler.shouldRollover)
        assert bool(short(handler, record)) == bool(expected)


def test_the_same_files_are_found_in_folders(tmp_path: Path) -> None:
    short = same_sooner.find_matching(find_matching)
    for root in (PACKAGE_PATH, str(tmp_path)):
        for folders in (["macros"], ["macros", "tests"], ["nowhere"]):
            for _ in range(2):
                assert short(root, folders, "*.sql", None) == find_matching(root, folders, "*.sql", None)
    assert short(PACKAGE_PATH, ["macros"], "*.sql", None)
    # those of a project change
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "a.sql").touch()
    assert [one["relative_path"] for one in short(str(tmp_path), ["macros"], "*.sql", None)] == ["a.sql"]


def at_no_time(metadata: TableMetadata) -> TableMetadata:
    """Metadata without the time at which an update was looked at."""
    return metadata.model_copy(update={"last_updated_ms": 0})


def test_a_transaction_sees_each_of_its_updates(tmp_path: Path) -> None:
    schema = Schema(NestedField(1, "n", LongType(), required=False))
    with InMemoryCatalog("memory", warehouse=f"file://{tmp_path}") as catalog:
        catalog.create_namespace("a")
        table = catalog.create_table("a.b", schema)
        transaction, seen = table.transaction(), []
        for step in (
            lambda: None,
            lambda: transaction.set_properties({"owner": "depot"}),
            lambda: transaction.update_schema().add_column("text", StringType()).commit(),
            lambda: transaction.remove_properties("owner"),
        ):
            step()
            found = same_sooner.table_metadata(transaction)
            expected = update_table_metadata(table.metadata, transaction._updates)
            assert at_no_time(found) == at_no_time(expected)
            assert same_sooner.table_metadata(transaction) is found
            seen.append((found.properties.get("owner"), len(found.schema().fields)))
        assert seen == [(None, 1), ("depot", 1), ("depot", 2), (None, 2)]
        transaction.commit_transaction()
        assert same_sooner.table_metadata(table.transaction()) == table.metadata
