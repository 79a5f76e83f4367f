"""The reference pages say what the code does."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
import types
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import duckdb
import pytest
from pydantic import AwareDatetime, BaseModel
from pyiceberg import types as ice
from pyiceberg.schema import Schema
from tests.docs import error_index

import slipway
from slipway import errors
from slipway.cli.main import cli
from slipway.cli.reference import reference
from slipway.dbt.configuration import STRATEGIES
from slipway.engines.duckdb.merge_clauses import MERGE_KEYS
from slipway.engines.spark.translation import reference as spark_sql
from slipway.environments.profiles import Profile
from slipway.errors import ConfigError, ContractError
from slipway.iceberg import partitioning
from slipway.iceberg.types import duckdb_type, iceberg_type
from slipway.landing import ledger
from slipway.records import conservation, landed_files, node_results, release_records, run_manifest
from slipway.records.run_manifest import Outcome

if TYPE_CHECKING:
    from tests.docs.conftest import Page

ROOT = Path(__file__).parents[2]
PLAIN: dict[object, str] = {
    str: "string",
    int: "integer",
    bool: "boolean",
    float: "number",
    datetime: "datetime",
    AwareDatetime: "datetime",
    Any: "any",
}


def described(annotation: object) -> str:
    """A field's type in the words of the pages."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return f"{described(arguments[0])} or null"
    if origin is Literal:
        return "string"
    if origin is list:
        return f"list of {described(arguments[0])}"
    if origin is dict:
        return f"map of {described(arguments[1])}"
    return PLAIN.get(annotation) or str(getattr(annotation, "__name__", annotation))


def fields(model: type[BaseModel]) -> list[list[str]]:
    return [[name, described(field.annotation)] for name, field in model.model_fields.items()]


def test_the_command_line_is_generated(pages: dict[str, Page]) -> None:
    assert pages["docs/reference/cli.md"].text == reference(), (
        "run: python -m slipway.cli.reference > docs/reference/cli.md"
    )


def test_what_spark_computes_is_generated(pages: dict[str, Page]) -> None:
    assert pages["docs/reference/spark-sql.md"].text == spark_sql.reference(), (
        "run: python -m slipway.engines.spark.translation.reference > docs/reference/spark-sql.md"
    )


def test_every_command_and_option_says_what_it_is_for(pages: dict[str, Page]) -> None:
    page = pages["docs/reference/cli.md"]
    assert [row for row in page.rows("option", "default", "meaning") if not row[2]] == []
    assert {
        f"slipway {name}"
        for name in cli.list_commands(cli.make_context("slipway", [], resilient_parsing=True))
    } <= {title.strip("`") for title in re.findall(r"^#+ (.+)$", page.prose, re.MULTILINE)}


def test_exit_codes(pages: dict[str, Page]) -> None:
    message = {
        name.strip("` "): int(row[0])
        for row in pages["docs/reference/exit-codes.md"].rows("code", "error", "when")
        for name in row[1].split(",")
        if "Error" in name
    }
    for module in pkgutil.walk_packages(slipway.__path__, "slipway."):
        importlib.import_module(module.name)
    classes: list[type[errors.SlipwayError]] = [errors.SlipwayError, *subclasses(errors.SlipwayError)]
    assert message == {kind.__name__: kind.exit_code for kind in classes}


def test_the_errors_are_read_from_the_code(pages: dict[str, Page]) -> None:
    assert pages["docs/reference/errors.md"].text == error_index.page(), (
        "run: python -m tests.docs.error_index > docs/reference/errors.md"
    )


def refusals() -> list[errors.SlipwayError]:
    """Some of them, as they are raised."""
    schema, refused = Schema(ice.NestedField(1, "day", ice.DateType(), required=False)), []
    for act in (
        lambda: iceberg_type(duckdb.connect().sql("select null::interval").types[0], "x", itertools.count(1)),
        lambda: partitioning.parse_partitioned_by(["bucket(x)"], schema, "a_model"),
        lambda: partitioning.parse_partitioned_by(["day", "day"], schema, "a_model"),
        lambda: Profile(ROOT / "docs"),
    ):
        with pytest.raises(errors.SlipwayError) as caught:
            act()
        refused.append(caught.value)
    return refused


def test_an_error_is_found_by_its_words(pages: dict[str, Page]) -> None:
    rows = pages["docs/reference/errors.md"].rows("what it says", "code", "why", "do")
    for error in refusals():
        assert [
            row
            for row in rows
            if re.fullmatch(re.escape(row[0].replace("\\", "")).replace("…", ".+"), error.what)
            and row[1] == str(error.exit_code)
        ], error
    known = {row[0] for row in pages["docs/reference/exit-codes.md"].rows("code", "error", "when")}
    assert {row[1] for row in rows} <= known


def subclasses(kind: type[errors.SlipwayError]) -> list[type[errors.SlipwayError]]:
    return [found for child in kind.__subclasses__() for found in (child, *subclasses(child))]


@pytest.mark.parametrize(
    "model",
    [
        run_manifest.RunManifest,
        run_manifest.Code,
        run_manifest.Versions,
        run_manifest.InputSnapshot,
        run_manifest.Sample,
        run_manifest.SampledInput,
        landed_files.LandedFile,
        node_results.Node,
        node_results.Definition,
        node_results.Tests,
        node_results.TestResult,
        landed_files.Freshness,
        conservation.Conservation,
    ],
)
def test_run_manifest(pages: dict[str, Page], model: type[BaseModel]) -> None:
    section = pages["docs/reference/run-manifest.md"].section(model.__name__)
    assert [row[:2] for row in section.rows("field", "type", "meaning")] == fields(model)


def test_outcomes(pages: dict[str, Page]) -> None:
    rows = pages["docs/reference/run-manifest.md"].section("Outcome").rows("value", "meaning")
    assert [row[0] for row in rows] == [outcome.value for outcome in Outcome]


def test_statuses(pages: dict[str, Page]) -> None:
    rows = pages["docs/reference/run-manifest.md"].section("Status").rows("value", "meaning")
    assert [row[0] for row in rows] == [status.value or "empty" for status in node_results.Status]


def test_changes(pages: dict[str, Page]) -> None:
    rows = pages["docs/reference/run-manifest.md"].section("Node").rows("field", "type", "meaning")
    (meaning,) = (row[2] for row in rows if row[0] == "change")
    assert re.findall(r"\w+", meaning.partition(":")[0].replace(" or ", " ")) == list(node_results.Change)


def test_release_record(pages: dict[str, Page]) -> None:
    rows = pages["docs/reference/warehouse.md"].rows("field", "type", "meaning")
    assert [row[:2] for row in rows] == fields(release_records.Release) + fields(
        release_records.ReleasedTable
    )


def test_ledger(pages: dict[str, Page]) -> None:
    page = pages["docs/reference/landing.md"]
    assert [row[0] for row in page.section("The ledger").rows("column", "content")] == ledger._SCHEMA.names
    verdicts = {row[0] for row in page.rows("verdict", "when", "then")}
    assert verdicts == set(get_args(landed_files.LandedFile.model_fields["verdict"].annotation))


def test_types(pages: dict[str, Page]) -> None:
    connection = duckdb.connect()
    for name, iceberg, back in pages["docs/reference/types.md"].rows(
        "DuckDB", "Iceberg", "read back by DuckDB as"
    ):
        kind = connection.sql(f"select null::{name} as x").types[0]
        found = iceberg_type(kind, "x", itertools.count(1))
        assert re.sub(r"\d+: (\w+): optional", r"\1:", str(found)) == iceberg, name
        assert duckdb_type(found) == back, name


def test_refused_types(pages: dict[str, Page]) -> None:
    connection = duckdb.connect()
    for name, fix in pages["docs/reference/types.md"].rows("refused", "do instead"):
        kind = connection.sql(f"select null::{name} as x").types[0]
        with pytest.raises(ContractError, match="Column x has type") as refused:
            iceberg_type(kind, "x", itertools.count(1))
        assert refused.value.fix.replace("`", "") == fix.replace("`", ""), name


def test_no_type_of_duckdb_is_missing(pages: dict[str, Page]) -> None:
    connection = duckdb.connect()
    page = pages["docs/reference/types.md"]
    rows = page.rows("DuckDB", "Iceberg", "read back by DuckDB as") + page.rows("refused", "do instead")
    named = {
        str(connection.execute(f"select typeof(null::{row[0]})").fetchall()[0][0]).split("(")[0]
        for row in rows
    }
    named |= {"LIST" if name.endswith("[]") else "ARRAY" if name.endswith("]") else name for name in named}
    known = {
        row[0] for row in connection.execute("select distinct logical_type from duckdb_types()").fetchall()
    }
    # a NULL without a type has none: DuckDB makes it an INTEGER before anything is written
    assert known - {"NULL"} <= named


PARTITIONED: dict[str, list[ice.PrimitiveType]] = {
    "boolean": [ice.BooleanType()],
    "integers": [ice.IntegerType(), ice.LongType()],
    "decimal": [ice.DecimalType(digits, 2) for digits in (9, 10, 18, 19, 38)],
    "decimal of 10 to 18 digits": [ice.DecimalType(10, 2), ice.DecimalType(18, 2)],
    "text": [ice.StringType()],
    "binary": [ice.BinaryType()],
    "date": [ice.DateType()],
    "time": [ice.TimeType()],
    "timestamps": [ice.TimestampType(), ice.TimestamptzType()],
}
OTHER: list[ice.PrimitiveType] = [ice.FloatType(), ice.DoubleType(), ice.UUIDType()]


def test_partition_transforms(pages: dict[str, Page]) -> None:
    """Every type that the page gives a transform is taken, and every other is refused."""
    rows = pages["docs/reference/partitions.md"].rows("entry", "splits by", "takes")
    assert len(rows) == 7
    for entry, _, takes in rows:
        taken = [str(kind) for name in takes.split(", ") for kind in PARTITIONED[name]]
        for kind in [*itertools.chain(*PARTITIONED.values()), *OTHER]:
            schema = Schema(ice.NestedField(1, "column", kind, required=False))
            if str(kind) in taken:
                assert partitioning.parse_partitioned_by([entry], schema, "a_model"), (entry, kind)
            else:
                with pytest.raises(ConfigError, match="partitioned_by"):
                    partitioning.parse_partitioned_by([entry], schema, "a_model")


def test_model_config(pages: dict[str, Page]) -> None:
    """What the materializations take from config is on the page, and what they refuse as well."""
    page = pages["docs/reference/model-config.md"]
    message = {name.strip("` ") for row in page.rows("key", "for", "meaning") for name in row[0].split(",")}
    macros = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "scripts/slipway/dbt/package/macros/materializations").rglob("*.sql")
        if path.name != "test.sql"  # whose configuration is dbt's
    )
    read = set(re.findall(r"config\.get\('(\w+)'\)", macros)) - {
        "strategy",
        "snapshot_table_column_names",
        "dbt_valid_to_current",
    }
    (listed,) = re.findall(r"for key in \[(.+?)\]", macros)
    refused = set(re.findall(r"'(\w+)'", listed))
    message |= {row[0] for row in page.rows("key", "meaning")}
    assert read | set(MERGE_KEYS) <= message
    assert refused | {"merge_returning_columns"} == set(
        re.findall(r"`(\w+)`", page.prose.partition("Refused, because")[2].partition(".\n")[0])
    )
    strategies = {row[0] for row in page.rows("strategy", "what a run does to the table")}
    assert strategies == set(STRATEGIES)
