"""What a process may write of an environment: everything, what is below one location, or nothing.

The limit goes with the properties of the environment's catalog, which reach whatever writes: the catalog, its files, the records, and DuckDB.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from slipway.errors import ReadOnlyError

WRITES_BELOW = "slipway.writes-below"
"""Property: the location below which files may be written; empty where nothing may be. Without it everything may be."""


def is_limited(properties: Mapping[str, Any], location: str) -> bool:
    """Whether properties do not allow a location to be written."""
    limit = properties.get(WRITES_BELOW)
    return limit is not None and not (limit and _plain(location).startswith(f"{_plain(str(limit))}/"))


def check_write(properties: Mapping[str, Any], location: str) -> None:
    """Refuse to write or remove what properties do not allow.

    Raises:
        ReadOnlyError: they do not.
    """
    if is_limited(properties, location):
        raise ReadOnlyError(
            f"{location} is not written",
            "this process only reads the environment, and builds in one of its own",
            "Publish with slipway run instead",
        )


def _plain(location: str) -> str:
    """A location of which one form is known: a path without links, or one of a store."""
    scheme, found, rest = location.partition("://")
    if found and scheme != "file":
        return f"s3://{rest}" if scheme in ("s3a", "s3n") else location
    return os.path.realpath(rest if found else location)
