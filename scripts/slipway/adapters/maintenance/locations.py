"""Locations in a form that is equal for one and the same object, whoever wrote it down.

Tables name files by ``s3://`` or ``s3a://``, by a path or a ``file:`` URI, by a link or where it leads to. A mismatch
would make a file that is in use look like one that nobody names.
"""

from __future__ import annotations

import os
from functools import lru_cache

from slipway.adapters.s3 import split

_S3 = ("s3://", "s3a://", "s3n://")


def canonical(location: str) -> str:
    """The one form of a location: a path without links, or ``s3://bucket/key``."""
    if location.startswith(_S3):
        bucket, key = split(location)
        return f"s3://{bucket}/{key}"
    path = location
    if path.startswith("file:"):
        path = f"/{path.removeprefix('file:').lstrip('/')}"
    folder, _, name = path.rpartition("/")
    return f"{_real(folder)}/{name}"


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder).rstrip("/")
