"""Plans and promotions as they lie in the environment that is promoted to, below ``_slipway/plans`` and ``_slipway/promotions``."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.counts import plural
from slipway.errors import NotFoundError
from slipway.records.promotion_records import Promotion, PromotionPlan
from slipway.records.record_files import find_record, keep_dbt_manifest, read_record
from slipway.records.store import PROMOTIONS, Records

_PLANS = "plans"


def write_plan(records: Records, plan: PromotionPlan) -> None:
    """Keep a plan."""
    records.store.create(_plan_key(plan.plan_id), plan.model_dump_json(indent=1).encode())


def read_plan(records: Records, text: str) -> PromotionPlan:
    """The plan that an id, a unique part of it or ``latest`` names.

    Raises:
        NotFoundError: none or several.
        DamagedError: its record cannot be read.
    """
    ids = [item.key.rpartition("/")[2].removesuffix(".json") for item in records.store.entries(_PLANS)]
    found = ids[-1:] if text == "latest" else [one for one in ids if text and text in one]
    if len(found) != 1:
        name, why = (
            records.environment.name,
            f"{plural(len(found), 'plan', 'match', 'matches')}" if found else "no such plan",
        )
        raise NotFoundError(
            f"There is no plan {text} in {name}", why, f"Make one with slipway promote --to {name} --plan"
        )
    return read_record(records.store, PromotionPlan, _plan_key(found[0]), plan_id=found[0])


def _plan_key(plan_id: str) -> str:
    return f"{_PLANS}/{plan_id}.json"


def write_promotion(
    records: Records, promotion: Promotion, runs: Mapping[str, bytes], described: Mapping[str, bytes]
) -> None:
    """Write down what is about to be published.

    Args:
        records: of the target.
        promotion: what was copied, and why it may be published.
        runs: manifests of the runs that vouch for it, by run id.
        described: dbt's manifests of runs, by run id: they have policies, classifications and exposures of its tables.
    """
    folder = f"{PROMOTIONS}/{promotion.number:06d}"
    for run_id, content in described.items():
        records.store.create(f"{folder}/dbt/{run_id}.json", keep_dbt_manifest(records.store, content))
    for run_id, content in runs.items():
        records.store.create(f"{folder}/runs/{run_id}.json", content)
    records.store.create(f"{folder}/promotion.json", promotion.model_dump_json(indent=1).encode())


def read_promotion(records: Records, number: int) -> Promotion | None:
    """What was copied for a release; None for one that is no promotion."""
    return find_record(records.store, Promotion, f"{PROMOTIONS}/{number:06d}/promotion.json", number=number)
