"""The project's data contracts, one ODCS file each."""

from __future__ import annotations

from pathlib import Path

import yaml

from slipway.domain.errors import ConfigError
from slipway.domain.feed import Feed


def read_feeds(project: Path) -> list[Feed]:
    """Feeds among the project's contracts.

    Raises:
        ConfigError: a contract cannot be read, or two describe one feed.
    """
    found: dict[str, Feed] = {}
    for path in sorted((project / "contracts").glob("*.odcs.y*ml")):
        try:
            contract = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise ConfigError(f"{path.name} is not YAML", " ".join(str(error).split())) from None
        feed = Feed.from_contract(contract, path.name) if isinstance(contract, dict) else None
        if feed is not None and feed.name in found:
            raise ConfigError(
                f"{path.name} describes feed {feed.name}", "another contract does, too", "keep one"
            )
        if feed is not None:
            found[feed.name] = feed
    return list(found.values())
