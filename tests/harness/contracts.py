"""Contracts of a feed with a few columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from slipway.contracts.contract_files import read_contract
from slipway.contracts.model import Contract


def contract(
    *columns: dict[str, Any], files: dict[str, Any] | None = None, quality: Sequence[dict[str, Any]] = ()
) -> Contract:
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "f",
        "version": "1.0.0",
        "servers": [
            {
                "server": "landing",
                "type": "local",
                "path": "f/*.csv",
                "format": "csv",
                "customProperties": [
                    {"property": key, "value": value} for key, value in (files or {}).items()
                ],
            }
        ],
        "schema": [{"name": "f", "properties": list(columns), "quality": list(quality)}],
    }
    found, problems = read_contract(yaml.safe_dump(document, sort_keys=False), "f.odcs.yaml")
    assert problems == [], problems
    assert found is not None
    return found
