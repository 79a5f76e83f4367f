"""Which dbt project a command is about."""

from __future__ import annotations

from pathlib import Path


def find_project(start: Path | None = None) -> Path:
    """The dbt project that contains a folder, by default the current one.

    Raises:
        NotFoundError: no dbt_project.yml in it or above it.
    """
    from slipway.adapters import profile

    return profile.find_project(start)
