"""The basis of a run that changed nothing: what decides whether the next run would change anything.

Values are kept as digests: settings hold secrets.
"""

from __future__ import annotations

from pydantic import Field

from slipway.records.run_manifest import SCHEMA_VERSION, Record

BASIS = "basis.json"
"""Name of the record in a run's folder."""


class Basis(Record):
    """What a run depended on that found every selected node unchanged.

    ``obstacle`` says why the next run has to start dbt in any case, empty for no reason. ``facts`` are digests by the name of
    what they are of (``runs.repetition``), ``variables`` the environment variables that the project's code reads, ``others``
    the tables of other targets that it reads, by target, to their metadata files. ``files`` are the local metadata files of
    tables to their sizes. ``made`` are the tables that models make. ``decided_by`` is the run that dbt was last started for.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    decided_by: str
    obstacle: str = ""
    facts: dict[str, str] = Field(default_factory=dict)
    variables: list[str] = Field(default_factory=list)
    others: dict[str, dict[str, str]] = Field(default_factory=dict)
    files: dict[str, int] = Field(default_factory=dict)
    made: list[str] = Field(default_factory=list)
