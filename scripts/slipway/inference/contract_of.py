"""The ODCS contract of an inferred feed: as plain values, as YAML, and typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import Contract
from slipway.contracts.products import plain_type
from slipway.contracts.standard import NEWEST
from slipway.contracts.yaml_text import dumped
from slipway.inference.findings import FILES, ROWS, InferredColumn, InferredFeed
from slipway.landing.formats import FileFormat, FileKind, Header


def document_of(feed: InferredFeed) -> dict[str, Any]:
    """The contract as plain values."""
    about: dict[str, list[str]] = {}
    for guess in feed.guesses:
        about.setdefault(guess.about, []).append(guess.text)
    server: dict[str, Any] = {
        "server": "landing",
        "type": "local",
        "path": f"{feed.name}/{feed.pattern}",
        "format": str(feed.format.kind),
    }
    if settings := _custom(_settings(feed) | _guesses(about.get(FILES))):
        server["customProperties"] = settings
    table: dict[str, Any] = {
        "name": feed.name,
        "physicalName": feed.name,
        "logicalType": "object",
        "dataGranularityDescription": "One row per record of a file.",
        "properties": [_property(column, feed, about.get(column.name)) for column in feed.columns],
    }
    if rules := [_guard(column) for column in feed.columns if column.guards]:
        table["quality"] = rules
    found: dict[str, Any] = {
        "apiVersion": NEWEST,
        "kind": "DataContract",
        "id": feed.name,
        "name": feed.name,
        "version": "1.0.0",
        "status": "draft",
        "servers": [server],
        "schema": [table],
    }
    if guesses := _custom(_guesses(about.get(ROWS))):
        found["customProperties"] = guesses
    return found


def contract_yaml(feed: InferredFeed) -> str:
    """The contract as a file."""
    return dumped(document_of(feed))


def contract_of(feed: InferredFeed) -> Contract:
    """The contract as every run reads it, from its file."""
    contract, problems = read_contract(contract_yaml(feed), f"{feed.name}.odcs.yaml")
    assert contract is not None, [problem.error.line() for problem in problems]
    return contract


def rule_of(column: InferredColumn, rule: str) -> str:
    """The id of a rule: ``type``, ``missing`` or ``guard``."""
    if rule == "missing":
        return f"{column.name}_missing"
    if rule == "guard":
        return f"{column.name}_begins_with_0"
    is_decimal = plain_type(column.physical_type).startswith("decimal")
    return f"{column.name}_not_{'decimal' if is_decimal else column.logical_type}"


def _settings(feed: InferredFeed) -> dict[str, Any]:
    """Settings of files that are not the default."""
    style, plain = feed.format, FileFormat()
    given: dict[str, Any] = {}
    if style.kind is FileKind.CSV:
        given |= {
            name: value
            for name, value, default in (
                ("delimiter", style.delimiter, plain.delimiter),
                ("quote", style.quote, plain.quote),
                ("escape", style.escape, plain.escape),
            )
            if value != default
        }
    if style.encoding != plain.encoding:
        given["encoding"] = style.encoding
    if style.header is not Header.EXACT:
        given["header"] = str(style.header)
    if style.skip_lines:
        given["skipLines"] = style.skip_lines
    if style.footer_lines:
        given["footerLines"] = style.footer_lines
    if style.sheet:
        given["sheet"] = style.sheet
    if feed.decimal_mark != ".":
        given["decimalMark"] = feed.decimal_mark
    if feed.thousands_mark:
        given["thousandsMark"] = feed.thousands_mark
    return given


def _property(column: InferredColumn, feed: InferredFeed, guesses: list[str] | None) -> dict[str, Any]:
    given: dict[str, Any] = {"name": column.name}
    if column.header != column.name:
        given["physicalName"] = column.header
    given |= _type(column)
    said: dict[str, Any] = {
        "required": column.required,
        "primaryKey": column.name in feed.key,
        "primaryKeyPosition": list(feed.key).index(column.name) + 1 if column.name in feed.key else 0,
        "unique": feed.key == [column.name],
        "classification": column.classification,
    }
    given |= {name: value for name, value in said.items() if value}
    settings: dict[str, Any] = {}
    if column.is_optional:
        settings["optional"] = True
    if not column.is_trimmed:
        settings["trim"] = False
    if column.null_values:
        settings["nullValues"] = list(column.null_values)
    if custom := _custom(settings | _guesses(guesses)):
        given["customProperties"] = custom
    return given


def _type(column: InferredColumn) -> dict[str, Any]:
    """What a value is, with everything inside of it."""
    said: dict[str, Any] = {
        "logicalType": column.logical_type,
        "physicalType": column.physical_type,
        "logicalTypeOptions": dict(column.options),
    }
    match column.logical_type:
        case "object":
            said["properties"] = [_inside(one) for one in column.inside]
        case "array":
            said["items"] = _inside(column.inside[0])
        case "map":
            said["map"] = {"key": {"logicalType": "string"}, "value": _inside(column.inside[0])}
    return {name: value for name, value in said.items() if value}


def _inside(column: InferredColumn) -> dict[str, Any]:
    """A property of an object, the items of an array, or the values of a map."""
    named = {"name": column.name, "physicalName": column.header if column.header != column.name else ""}
    said = named | _type(column) | {"classification": column.classification}
    return {name: value for name, value in said.items() if value}


def _guard(column: InferredColumn) -> dict[str, Any]:
    """A rule that sets rows aside whose number would lose a zero."""
    header = column.header.replace("'", "''")
    return {
        "name": rule_of(column, "guard"),
        "type": "sql",
        "query": f"select count(*) from {{object}} where regexp_matches(_original['{header}'], '^[[:space:]]*[+-]?0[0-9]')",
        "mustBe": 0,
        "description": f"{column.header} begins with 0, which a number would lose",
    }


def _guesses(texts: list[str] | None) -> dict[str, Any]:
    return {"guesses": texts} if texts else {}


def _custom(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"property": name, "value": value} for name, value in settings.items()]
