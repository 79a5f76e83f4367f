"""Whether Spark can compute a model: its query, and what its strategy does by keys, without Spark and without data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.dbt.code_only import CodeOnly
from slipway.dbt.configuration import merge_keys_of, predicates_of, strategy_of
from slipway.dbt.keys.node_key import tables_read
from slipway.dbt.nodes import find, relation_of, table_of
from slipway.engines.duckdb.merge_clauses import listed
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import columns_of
from slipway.iceberg.schema import query_schema

if TYPE_CHECKING:
    from slipway.engines.spark.translation.refusal import TranslationError


def translation_error(code: CodeOnly, node: Any, sql: str) -> TranslationError | None:
    """Why the query of a model has no translation for Spark, None if it has one.

    Args:
        code: of the project, with the columns of the tables that the model reads.
        node: the model.
        sql: its query, in DuckDB's SQL.
    """
    from slipway.engines.spark.translation.refusal import TranslationError
    from slipway.engines.spark.translation.translate import translate

    manifest: Any = code.manifest
    read = [node, *filter(None, (find(manifest, one) for one in tables_read(manifest, node.unique_id)))]
    schemas = {".".join(relation_of(one)): code.stubs.types(table_of(one)) for one in read}
    try:
        translate(sql, schemas, node.name)
    except TranslationError as error:
        return error
    return None


def check_keyed(code: CodeOnly, node: Any, sql: str) -> None:
    """Refuse keys, conditions and clauses of a model that Spark cannot carry out.

    Args:
        code: of the project.
        node: the model, of any strategy.
        sql: the query that it has when its table is there; its columns are taken for those of the table.

    Raises:
        ConfigError: DuckDB does not bind them, or they have no translation.
        ContractError: a column of the query has a type or name that no table can have.
    """
    from slipway.engines.spark.merge_statement import KEYED, keyed_change

    if node.config.materialized != "incremental" or strategy_of(node) not in KEYED:
        return
    columns = columns_of(code.cursor, f"(\n{sql}\n)")
    schema = query_schema(columns)
    request = WriteRequest(
        table_of(node),
        sql,
        strategy_of(node),
        run_id="",
        release="",
        unique_key=listed(node.config.get("unique_key")),
        predicates=predicates_of(node),
        merge=merge_keys_of(node),
    )
    kinds = {name: str(kind) for name, kind in columns}
    keyed_change(code.cursor, request, kinds, schema, schema)
