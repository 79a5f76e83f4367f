"""What a difference of each key of a contract means: who is bound by it, and whether it asks more of them or gives less.

A contract says which data may occur. When less may occur than before, whoever writes the data is bound to more; when more may occur, whoever reads it has
less to rely on; when other data may occur, both are affected. So each rule says ``NARROWER``, ``WIDER`` or ``BOTH``, and the side that suffers follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slipway.contracts.change_judges import (
    LESS,
    MORE,
    added_or_removed,
    always,
    between,
    bound,
    constraint,
    equal,
    expected,
    flag,
    is_number,
    multiple,
)
from slipway.contracts.change_terms import (
    BOTH,
    NARROWER,
    NOBODY,
    WIDER,
    Custom,
    Items,
    Keys,
    Part,
    Rule,
    Step,
    Values,
    Verdict,
    unknown_key,
)
from slipway.contracts.column_changes import (
    classification,
    column_item,
    data_type,
    logical_type_of,
    name_of_column,
    optional,
    order_of_columns,
    physical_name,
    table_name,
)
from slipway.contracts.level_changes import level, level_item
from slipway.contracts.model import (
    LANDING,
    ColumnSettings,
    ContractSettings,
    FileSettings,
    Operator,
    SchemaContract,
)

_free = always(NOBODY, "It is for people and other programs, and no promise about data.")
_layout = always(NOBODY, "It is about how data is stored, not what it says.")
_other = always(BOTH, "The data means something else than before.")
_reading = always(NARROWER, "Files have to be written in another way.")
_retention = always(NOBODY, "It is about refused rows, and raw keeps them all.")
_place = always(WIDER, "Readers find the data elsewhere, or not at all.")


def _status(step: Step) -> Verdict | None:
    before, after = step.before, step.after
    if before == after:
        return None
    if after == "deprecated" and before in ("active", None):
        return NOBODY, "An end is announced; what is promised stays until then."
    if (
        after == "active"
        or (before, after) == ("proposed", "draft")
        or (before, after) == ("draft", "proposed")
    ):
        return NOBODY, "More is promised than before."
    if before in ("proposed", "draft") and after == "deprecated":
        return NOBODY, "Nothing was promised yet."
    if (before, after) == ("deprecated", "retired"):
        end = step.terms.end_of("")
        if end is not None and end <= step.terms.today:
            return NOBODY, "Its end was announced and has come."
    return WIDER, "What was promised is not promised any more."


def _quality_item(step: Step) -> Verdict:
    item = step.after if step.before is None else step.before
    if str(item.get("severity", "error")).lower() != "error":
        if step.before is None:
            return NOBODY, "It warns, and keeps nothing from being published."
        return NOBODY, "It only warned."
    return (NARROWER, MORE) if step.before is None else (WIDER, LESS)


def _severity(step: Step) -> Verdict | None:
    before, after = (str(one).lower() == "error" for one in step.values)
    if before is after:
        return None if before else (NOBODY, "It warns as before.")
    return (NARROWER, MORE) if after else (WIDER, LESS)


def _description_of_rule(step: Step) -> Verdict | None:
    if any(
        isinstance(one, dict) and one.get("type") == "text" for one in (step.owner_before, step.owner_after)
    ):
        return BOTH, "The rule in words says something else."
    return _free(step)


def _header_mode(step: Step) -> Verdict | None:
    before, after = (
        {True: "exact", False: "none"}.get(one, one) if isinstance(one, bool) else one for one in step.values
    )
    if before == after:
        return None
    if (before, after) == ("exact", "names"):
        return NOBODY, "Files that were accepted still are."
    return NARROWER, "Files have to have another header."


def _rejected(step: Step) -> Verdict | None:
    before, after = step.values
    if before == after:
        return None
    if after == "warn":
        return WIDER, "Tables are published without the rows of files that are set aside."
    return NOBODY, "Runs stop sooner."


_STRICTNESS = {"evolve": 0, "discard_value": 0, "discard_row": 1, "freeze": 2}


def _evolution(step: Step) -> Verdict | None:
    """What is done with what the contract does not say: less of it arrives, or more."""
    before, after = (str(value) for value in step.values)
    if before == after:
        return None
    if _STRICTNESS.get(after, 2) > _STRICTNESS.get(before, 2):
        return NARROWER, "Data that is not as the contract says is refused sooner."
    if step.key == "data_type" and after == "discard_value":
        return WIDER, "Values that are not of their type are NULL, and their rows arrive."
    return NOBODY, "Data that is not as the contract says is kept sooner."


def _largest(step: Step) -> Verdict | None:
    before, after = step.values
    if is_number(before) and is_number(after):
        if before == after:
            return None
        return (NARROWER, MORE) if after < before else (NOBODY, "Files that were accepted still are.")
    return unknown_key(step)


def _server_item(step: Step) -> Verdict:
    item = step.after if step.before is None else step.before
    if item.get("server") == LANDING:
        return (
            BOTH,
            "The contract becomes one of landed files."
            if step.before is None
            else "Files are not landed any more.",
        )
    return (
        (NOBODY, "Readers have one place more.") if step.before is None else (WIDER, "Readers lose a place.")
    )


def _landing_or_place(step: Step) -> Verdict | None:
    if equal(*step.values):
        return None
    if any(
        isinstance(one, dict) and one.get("server") == LANDING
        for one in (step.owner_before, step.owner_after)
    ):
        return NARROWER, "Files have to be written elsewhere or in another way."
    return _place(step)


def _price(step: Step) -> Verdict | None:
    before, after = step.values
    if is_number(before) and is_number(after):
        if before == after:
            return None
        if after < before:
            return NOBODY, "Readers pay less."
    return WIDER, "Readers pay in another way."


def _by(*keys: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda item: [item.get(key) for key in keys] if len(keys) > 1 else item.get(keys[0])


def _by_rule(item: Mapping[str, Any]) -> object:
    return item.get("id") or item.get("name") or [item.get("type"), item.get("metric"), item.get("query")]


def _defaults(kind: type[FileSettings | ColumnSettings | ContractSettings]) -> dict[str, Any]:
    found = {str(one.alias): one.default for one in kind.model_fields.values() if one.default is not None}
    return {name: _in_yaml(one) for name, one in found.items()}


def _in_yaml(default: Any) -> Any:  # noqa: ANN401 - of YAML
    if isinstance(default, SchemaContract):
        return default.model_dump(mode="json", by_alias=True)
    return list(default) if isinstance(default, tuple) else default


_QUALITY = Items(_by_rule, Part("rule"), _quality_item)
_RELATIONSHIPS = Items(
    _by("from", "to"), Part("relationship"), added_or_removed((NARROWER, MORE), (WIDER, LESS))
)
_ROLES = Items(
    _by("role"),
    Part("role"),
    added_or_removed(
        (NOBODY, "More may read the data."), (WIDER, "Who had this role may not read the data any more.")
    ),
)
_COLUMNS = Items(_by("name"), Part("column"), column_item, order_of_columns, has_end=True)
_ALLOWED = Items(
    _by("value"),
    Part("allowed value"),
    added_or_removed((WIDER, "Another value may occur."), (NARROWER, MORE)),
    is_whole=constraint,
)
_CONSTRAINED: Mapping[str, Rule] = {
    "minLength": bound(is_least=True),
    "maxLength": bound(is_least=False),
    "minimum": bound(is_least=True),
    "maximum": bound(is_least=False),
    "exclusiveMinimum": bound(is_least=True),
    "exclusiveMaximum": bound(is_least=False),
    "minItems": bound(is_least=True),
    "maxItems": bound(is_least=False),
    "minProperties": bound(is_least=True),
    "maxProperties": bound(is_least=False),
    "uniqueItems": flag(NARROWER, WIDER),
    "pattern": constraint,
    "multipleOf": multiple,
    "required": Values((NARROWER, MORE), (WIDER, LESS)),
    **dict.fromkeys(
        ("format", "timezone", "defaultTimezone", "dimensions", "elementType", "normalized"), _other
    ),
    **dict.fromkeys(("embeddingModel", "embeddingModelVersion", "distanceMetric"), _other),
}
_OF_PEOPLE: Mapping[str, Rule] = {
    "id": _free,
    "description": _free,
    "tags": _free,
    "authoritativeDefinitions": _free,
    "businessName": _free,
    "synonyms": _free,
    "deprecated": _free,
    "context": _free,
}

_PLACES = (
    "type", "environment", "path", "format", "encoding", "delimiter", "location", "endpointUrl", "catalog", "catalogUrl",
    "namespace", "host", "port", "database", "schema", "account", "project", "dataset", "warehouse", "region",
    "regionName", "stagingDir", "serviceName", "bucket", "url", "stream", "workgroup",
)  # fmt: skip
"""Keys of the standard's servers that say where data is, and how files look."""

RULES: Mapping[str, Keys] = {
    "contract": Keys(
        {
            **dict.fromkeys(
                ("name", "tenant", "tags", "dataProduct", "description", "domain", "context"), _free
            ),
            **dict.fromkeys(("authoritativeDefinitions", "contractCreatedTs", "support", "team"), _free),
            "version": _free,
            "apiVersion": always(NOBODY, "It is the form of the contract, and no promise about data."),
            "id": always(BOTH, "It is another contract."),
            "kind": unknown_key,
            "status": _status,
            "servers": Items(_by("server"), Part("server"), _server_item),
            "schema": Items(
                _by("name"),
                Part("table"),
                added_or_removed(
                    (NOBODY, "What was there stays as it was."), (BOTH, "Readers and producers lose it.")
                ),
                has_end=True,
            ),
            "price": Part("price"),
            "roles": _ROLES,
            "slaDefaultElement": _other,
            "slaProperties": Items(_by("property"), Part("service level"), level_item),
            "customProperties": Custom("custom properties of the contract"),
        }
    ),
    "server": Keys(
        {
            "server": unknown_key,
            **dict.fromkeys(("id", "description"), _free),
            "roles": _ROLES,
            **dict.fromkeys(_PLACES, _landing_or_place),
            "customProperties": Custom("custom properties of a server"),
        }
    ),
    "table": Keys(
        {
            **_OF_PEOPLE,
            "name": table_name,
            "physicalName": table_name,
            "logicalType": data_type,
            "physicalType": data_type,
            "dataGranularityDescription": always(BOTH, "A row is something else than before."),
            "properties": _COLUMNS,
            "relationships": _RELATIONSHIPS,
            "quality": _QUALITY,
            "customProperties": Custom("no custom properties"),
        },
        {"logicalType": "object", "deprecated": False},
    ),
    "column": Keys(
        {
            **_OF_PEOPLE,
            "name": name_of_column,
            "physicalName": physical_name,
            "logicalType": logical_type_of,
            "physicalType": data_type,
            "logicalTypeOptions": Part("options"),
            "required": flag(NARROWER, WIDER),
            "unique": flag(NARROWER, WIDER),
            "primaryKey": always(BOTH, "Other columns identify a row."),
            "primaryKeyPosition": always(NOBODY, "The same columns identify a row."),
            **dict.fromkeys(("partitioned", "partitionKeyPosition"), _layout),
            "classification": classification,
            "encryptedName": _place,
            "semanticType": _other,
            **dict.fromkeys(("transformSourceObjects", "transformLogic", "transformDescription"), _free),
            **dict.fromkeys(("examples", "criticalDataElement"), _free),
            "enum": _ALLOWED,
            "relationships": _RELATIONSHIPS,
            "quality": _QUALITY,
            "properties": _COLUMNS,
            "items": Part("column"),
            "map": Part("map"),
            "customProperties": Custom("custom properties of a column"),
        },
        {
            **dict.fromkeys(("required", "unique", "primaryKey", "partitioned"), False),
            **dict.fromkeys(("criticalDataElement", "deprecated"), False),
            **dict.fromkeys(("primaryKeyPosition", "partitionKeyPosition"), -1),
            "semanticType": "column",
        },
    ),
    "options": Keys(_CONSTRAINED),
    "allowed value": Keys(
        {
            **dict.fromkeys(("id", "label", "description", "tags", "authoritativeDefinitions"), _free),
            "value": _other,
        }
    ),
    "rule": Keys(
        {
            **dict.fromkeys(("id", "businessImpact", "dimension", "method", "tags"), _free),
            **dict.fromkeys(("authoritativeDefinitions", "schedule", "scheduler"), _free),
            "name": always(NOBODY, "The rule itself stays."),
            "description": _description_of_rule,
            "severity": _severity,
            "unit": _other,
            "arguments": Part("arguments"),
            Operator.GREATER: bound(is_least=True),
            Operator.AT_LEAST: bound(is_least=True),
            Operator.LESS: bound(is_least=False),
            Operator.AT_MOST: bound(is_least=False),
            Operator.BETWEEN: between(is_inside=True),
            Operator.NOT_BETWEEN: between(is_inside=False),
            **dict.fromkeys((Operator.MUST_BE, Operator.MUST_NOT_BE), constraint),
            **dict.fromkeys(("metric", "rule", "query", "type", "engine", "implementation"), _other),
        },
        {"severity": "error", "unit": "rows"},
    ),
    "arguments": Keys(
        {
            "pattern": constraint,
            "validValues": Values((WIDER, "Another value may occur."), (NARROWER, MORE), is_whole=constraint),
            **dict.fromkeys(("missingValues", "properties"), _other),
        }
    ),
    "relationship": Keys(
        {"id": _free, **dict.fromkeys(("from", "to", "type"), _other)}, {"type": "foreignKey"}
    ),
    "role": Keys(
        {
            **dict.fromkeys(("id", "description"), _free),
            "role": always(WIDER, "The role has another name."),
            "access": always(WIDER, "Who has this role may do other things."),
            **dict.fromkeys(
                ("firstLevelApprovers", "secondLevelApprovers"),
                always(NOBODY, "Others decide about access."),
            ),
        }
    ),
    "price": Keys(dict.fromkeys(("priceAmount", "priceCurrency", "priceUnit"), _price) | {"id": _free}),
    "service level": Keys(
        {
            **dict.fromkeys(("id", "description", "driver", "authoritativeDefinitions"), _free),
            "value": level,
            **dict.fromkeys(("property", "element", "schedule", "scheduler"), _other),
        },
        together=("value", "valueExt", "unit"),
    ),
    "custom property": Keys({**dict.fromkeys(("id", "description", "vendor"), _free)}),
    "map": Keys({"key": Part("column"), "value": Part("column")}),
    "no custom properties": Keys({}),
    "custom properties of the contract": Keys(
        {
            **dict.fromkeys(("inputRowsPerRun", "inputBytesPerRun"), Part("expected input")),
            "regions": Values(
                (BOTH, "Data may be kept elsewhere, too."),
                (BOTH, "Data is not kept here any more."),
                is_whole=constraint,
            ),
            "schemaContract": Part("schema contract"),
            "quarantineLimits": constraint,
            "quarantineRetention": _retention,
            "consumers": Values((NOBODY, "One more reader is known."), (NOBODY, "One reader less is known.")),
            "guesses": _free,
        },
        _defaults(ContractSettings),
    ),
    "schema contract": Keys(
        dict.fromkeys(("tables", "columns", "data_type"), _evolution),
        {"tables": "freeze", "columns": "freeze", "data_type": "discard_row"},
    ),
    "expected input": Keys({"min": expected(is_least=True), "max": expected(is_least=False)}),
    "custom properties of a server": Keys(
        {
            **dict.fromkeys(("delimiter", "quote", "escape", "encoding", "sheet"), _reading),
            **dict.fromkeys(("skipLines", "footerLines", "decimalMark", "thousandsMark"), _reading),
            "header": _header_mode,
            "fileMode": always(BOTH, "A new file means something else for earlier rows."),
            **dict.fromkeys(("maxUncompressedBytes", "maxCompressionRatio"), _largest),
            "nullValues": Values(
                (BOTH, "This spelling is no value any more."), (BOTH, "This spelling is a value.")
            ),
            "onRejectedFiles": _rejected,
            "ignoredFiles": Values(
                (BOTH, "Files of this name are not read."), (NARROWER, "Files of this name are checked.")
            ),
            "guesses": _free,
        },
        _defaults(FileSettings),
    ),
    "custom properties of a column": Keys(
        {
            **dict.fromkeys(("optional", "since"), optional),
            "trim": _other,
            "nullValues": Values(
                (BOTH, "This spelling is no value any more."), (BOTH, "This spelling is a value.")
            ),
            "guesses": _free,
        },
        _defaults(ColumnSettings),
    ),
}
"""Rules of each kind of mapping; a key without a rule breaks everybody."""
