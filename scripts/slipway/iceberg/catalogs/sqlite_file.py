"""The file of a SQL catalog that is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

LOCK_TIMEOUT = 30
"""Seconds that one process waits for another that writes to a SQL catalog."""
_SQLITE = "sqlite:///"


def catalog_file(properties: Mapping[str, str]) -> Path | None:
    """The file of a catalog that is one, as SQLAlchemy reads its address."""
    prefix, found, rest = properties.get("uri", "").partition(_SQLITE)
    path = unquote(rest.partition("?")[0])
    return (
        Path(path) if found and not prefix and path and not path.startswith(("file:", ":memory:")) else None
    )
