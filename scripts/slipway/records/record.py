"""What all records have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 2
"""What is written; older ones are read, too. Version 2 added the checksums of a run's records, and optional fields."""


class Record(BaseModel):
    """A record that is written once and refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
