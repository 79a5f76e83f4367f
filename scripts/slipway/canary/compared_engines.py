"""A comparison of engines: the same code on both sides, and another engine for the models of one that it can compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from slipway.counts import plural
from slipway.engines.spark.spark_versions import computing
from slipway.engines.writers import DUCKDB, SPARK
from slipway.errors import SlipwayError
from slipway.records.node_results import Change, Node
from slipway.records.run_manifest import RunManifest

_NAMED = 10
_NAMES = {DUCKDB: "DuckDB", SPARK: "Spark"}


@dataclass(frozen=True)
class WantedEngine:
    """What is compared with the configured engines.

    Args:
        engine: its name.
        models: unique ids of the models that it can compute.
        left: ``layer.table`` of models that it cannot compute, to the reason.
    """

    engine: str
    models: Sequence[str]
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call the engine."""
        return _NAMES[self.engine]

    def computed(self, base: RunManifest, head: RunManifest) -> list[str]:
        """Tables that another engine computed on each side.

        Raises:
            SlipwayError: there are none, so that nothing was compared.
        """
        then = _engines(base)
        other = sorted(table for table, engine in _engines(head).items() if then.get(table, engine) != engine)
        if not other:
            stay = [f"{table} ({why})" for table, why in self._stay(head).items()]
            why = f"{self.name} can compute none of the selected models that another engine computes"
            more = f" and {len(stay) - _NAMED} more" if len(stay) > _NAMED else ""
            raise SlipwayError(
                "Nothing was compared",
                f"{why}{': ' if stay else ''}{', '.join(stay[:_NAMED])}{more}",
                "Select other models, or compare with another engine",
            )
        return other

    def remarks(self, base: RunManifest, head: RunManifest, other: Sequence[str]) -> Iterator[str]:
        """What a report says of the engines: versions, which tables they computed, and which stay with theirs.

        Args:
            base: the run by the configured engines.
            head: the run by this one.
            other: as ``computed`` found them.
        """
        then, now = _versions(base, other), _versions(head, other)
        yield f"Engines were compared by {plural(len(other), 'table')} of the same code: base by {then}, head by {now}: {', '.join(other)}"
        stay = self._stay(head)
        for table, why in list(stay.items())[:_NAMED]:
            yield f"{table} stays with its engine on both sides, because {self.name} cannot compute it: {why}"
        if len(stay) > _NAMED:
            yield f"{len(stay) - _NAMED:,} more tables stay with their engines, because {self.name} cannot compute them"

    def _stay(self, head: RunManifest) -> dict[str, str]:
        return {table: self.left[table] for table in sorted(_engines(head)) if table in self.left}


def _engines(manifest: RunManifest) -> dict[str, str]:
    return {node.table: node.engine for node in _built(manifest) if node.table}


def _built(manifest: RunManifest) -> list[Node]:
    return [node for node in manifest.nodes if node.change is not Change.PINNED]


def _versions(manifest: RunManifest, tables: Sequence[str]) -> str:
    """The versions of the engines that computed tables."""
    engines = {engine for table, engine in _engines(manifest).items() if table in tables}
    known = {
        DUCKDB: f"{_NAMES[DUCKDB]} {manifest.versions.duckdb}",
        SPARK: f"{_NAMES[SPARK]} ({', '.join(computing())})",
    }
    return " and ".join(known[engine] for engine in sorted(engines))
