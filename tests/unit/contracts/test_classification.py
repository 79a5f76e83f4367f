"""What may be shown of classified columns: one rule for values and sums."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from slipway.contracts.classification import (
    FEW_ROWS,
    Classifications,
    classification_of,
    classifications,
    described_columns,
)
from slipway.contracts.contract_files import read_contract

WORDS = ("public", "internal", "confidential", "restricted", "personal", "PII of ours")


@pytest.mark.parametrize("word", WORDS)
def test_what_is_hidden_depends_on_the_word(word: str) -> None:
    given = classifications((), [("a.b", "Pay", {"meta": {"classification": word}})])
    assert given.hides_values("pay") is (word != "public")
    assert given.hides_sum("PAY", FEW_ROWS) is (word not in ("public", "internal"))
    assert given.hides_sum("PAY", FEW_ROWS - 1) is (word != "public")
    assert given.hidden == (set() if word == "public" else {"pay"})
    assert not given.hides_values("town")
    assert not given.hides_sum("town", 1)


def test_the_strictest_of_several_counts() -> None:
    given = Classifications({"pay": frozenset(("public", "internal", "secret"))})
    assert (given.hides_values("pay"), given.hides_sum("pay", 1_000)) == (True, True)


def test_models_and_sources_and_objects_of_dbt_are_read() -> None:
    manifest = {
        "nodes": {
            "model.a.b": {
                "schema": "serving",
                "alias": "people",
                "columns": {"Mail": {"config": {"meta": {"classification": "Restricted"}}}},
            }
        },
        "sources": {
            "source.a.b.c": {
                "schema": "landing",
                "identifier": "people",
                "columns": {"phone": {"meta": {"classification": "internal"}}},
            }
        },
    }
    found = classifications((), described_columns(manifest))
    assert found.by_name == {"mail": {"restricted"}, "phone": {"internal"}}
    assert found.declared == {
        "serving.people": {"mail": {"restricted"}},
        "landing.people": {"phone": {"internal"}},
    }
    own = SimpleNamespace(meta={}, config=SimpleNamespace(meta={"classification": "Secret"}))
    assert classification_of(own) == "secret"
    assert list(described_columns(None)) == []


def test_what_is_classified_inside_of_a_column_classifies_the_column() -> None:
    """Shown, the column would show the value inside; the strictest counts, and capitals do not."""
    inside = {
        "customer": "logicalType: object, properties: [{name: mail, classification: Restricted}, {name: town, classification: public}], classification: Public",
        "lines": "logicalType: array, items: {logicalType: object, properties: [{name: iban, logicalType: string, classification: confidential}]}",
        "notes": "logicalType: map, map: {key: {logicalType: string}, value: {logicalType: string, classification: internal}}",
        "town": "logicalType: object, properties: [{name: zip, logicalType: string}]",
    }
    properties = "\n".join(f"      - {{name: {name}, {text}}}" for name, text in inside.items())
    text = (
        "apiVersion: v3.2.0\nkind: DataContract\nid: orders\nversion: 1.0.0\nstatus: active\n"
        "servers: [{server: landing, type: local, path: orders/*.jsonl, format: json}]\n"
        f"schema:\n  - name: orders\n    logicalType: object\n    properties:\n{properties}\n"
    )
    contract, problems = read_contract(text, "orders.odcs.yaml")
    assert contract is not None, problems
    found = classifications([contract])
    assert found.by_name == {"customer": {"restricted"}, "lines": {"confidential"}, "notes": {"internal"}}
    assert found.declared == {"raw.orders": found.by_name}
