"""The documentation site: dbt docs with lineage, and row counts and snapshots from Iceberg, as one file."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from slipway.domain.errors import SlipwayError


@dataclass(frozen=True)
class Site:
    """Where the site is, and how many tables it describes."""

    index: Path
    tables: int


def build_site(project: Path, target: str | None, output_dir: Path) -> Site:
    """Write ``index.html``, which opens without a server or a network.

    Raises:
        SlipwayError: dbt cannot generate the docs.
    """
    import json

    from slipway.adapters.dbt import evidence, invocation
    from slipway.adapters.profile import Profile

    environment = Profile(project).environment(target)
    done = invocation.invoke(["docs", "generate", "--static", "--target", environment.name], project, None)
    built = evidence.target_path(project)
    if not done.success:
        raise SlipwayError(
            "the site was not built", done.error or "dbt docs generate failed", "run dbt docs generate"
        )
    index = output_dir / "index.html"
    shutil.copyfile(built / "static_index.html", index)
    catalog = json.loads((built / "catalog.json").read_text(encoding="utf-8"))
    return Site(index, len(catalog["nodes"]))
