"""Judge quarantined rows again, after a change of rules, code or reference data: the pair of tables is built anew from raw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import gettempdir
from typing import Any

from slipway.dbt.start import Run, RunOptions, run
from slipway.environments.environment import Environment
from slipway.errors import NotFoundError
from slipway.processes import temporary
from slipway.records.conservation import Conservation
from slipway.records.store import Records
from slipway.releases.lookup import environment_of, is_table
from slipway.runs.pinned_tables import LANDING
from slipway.runs.progress import Progress
from slipway.storage.objects import writing_below


@dataclass(frozen=True)
class Pair:
    """A quarantine table as the last release left it, and what dbt has to be asked to build.

    ``models`` are selectors of the quarantine model and of the curated one, ``raw`` those of models that read landed files. ``published`` are the
    tables of the release, ``layer.table`` to metadata file.
    """

    before: Conservation
    release: int
    published: Mapping[str, str]
    models: Sequence[str]
    raw: Sequence[str]


@dataclass(frozen=True)
class JudgedAgain:
    """What came of it; ``after`` is None when the run did not come to count."""

    before: Conservation
    after: Conservation | None
    done: Run

    def by_rule(self) -> dict[str, tuple[int, int]]:
        """Rows before and after of every rule that had or has any."""
        now = self.after.by_rule if self.after else {}
        rules = sorted({*self.before.by_rule, *now})
        return {rule: (self.before.by_rule.get(rule, 0), now.get(rule, 0)) for rule in rules}


def pair_of(environment: Environment, table: str) -> Pair:
    """The pair that a quarantine table belongs to.

    Args:
        environment: where it is published.
        table: ``layer.name``, or only its name.

    Raises:
        NotFoundError: nothing is published, or the last release has not counted the rows of such a table.
    """
    records = Records(environment)
    last = records.last_release()
    manifest = records.manifest(last.run_id) if last else None
    described = records.dbt_manifest(last.run_id) if last else None
    if last is None or manifest is None or described is None:
        raise NotFoundError(
            f"{environment.name} has no quarantine", "nothing is published", "Start with slipway run"
        )
    known = {item.quarantine: item for item in manifest.conservation}
    found = [item for name, item in known.items() if table in (name, name.rpartition(".")[2])]
    if len(found) != 1:
        names = ", ".join(sorted(known)) or "none"
        raise NotFoundError(
            f"{table} is not a quarantine table whose rows are counted",
            f"release {last.number} has {names}",
            "Name one of them, or declare conserves in the model's config",
        )
    nodes: Mapping[str, Mapping[str, Any]] = described["nodes"]
    landed = {key for key, source in described["sources"].items() if source["schema"] == LANDING}
    wanted = (found[0].quarantine, found[0].curated)
    built = {f"{node['schema']}.{node['alias']}": node for node in nodes.values() if is_table(node)}
    raw = [node for node in built.values() if landed & set(node["depends_on"].get("nodes", ()))]
    return Pair(
        found[0],
        last.number,
        {name: state.metadata_location for name, state in last.tables.items()},
        [_selector(built[name]) for name in wanted if name in built],
        list(map(_selector, raw)),
    )


def judge_again(
    options: RunOptions, table: str, show: Callable[[Progress], None], *, dry_run: bool
) -> JudgedAgain:
    """Build a quarantine table and its curated table anew from raw, with what they read and what reads them, as one run.

    Models that read landed files are left out: what has landed is not landed again.

    Args:
        options: project, target and how to run; what is selected is decided here.
        table: the quarantine table.
        show: gets the progress.
        dry_run: build only the pair, from what is published, in a scratch environment, which is removed again.

    Raises:
        NotFoundError: as ``pair_of``.
        SlipwayError: as ``start.run``.
    """
    environment = environment_of(options.project, options.target)
    pair = pair_of(environment, table)
    behind = "" if dry_run else "+"
    asked = replace(
        options, select=[f"+{one}{behind}" for one in pair.models], exclude=list(pair.raw), full_refresh=True
    )
    if not dry_run:
        return _judged(pair, run(asked, show))
    with writing_below(gettempdir()), temporary("retry", environment.home) as folder:
        # from pinned inputs, so that the landing area is not looked at either
        return _judged(pair, run(replace(asked, scratch=folder, pins=dict(pair.published)), show))


def _judged(pair: Pair, done: Run) -> JudgedAgain:
    found = [item for item in done.manifest.conservation if item.quarantine == pair.before.quarantine]
    return JudgedAgain(pair.before, found[0] if found else None, done)


def _selector(node: Mapping[str, Any]) -> str:
    return f"fqn:{'.'.join(node['fqn'])}"
