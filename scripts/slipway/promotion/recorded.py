"""Plans and promotions as they lie in the environment that is promoted to, below ``_slipway/plans`` and ``_slipway/promotions``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from slipway.counts import plural
from slipway.errors import ConflictError, DamagedError, NotFoundError
from slipway.records.promotion_records import Promotion, PromotionPlan
from slipway.records.record_files import find_record, keep_dbt_manifest, read_record
from slipway.records.run_ids import started_at
from slipway.records.store import PROMOTIONS, Records
from slipway.releases.approvals import PLANS, PlanFiles, plan_key
from slipway.signing.approval_rules import Author, Judgement, judge
from slipway.signing.signing_keys import Signing, trust_of
from slipway.signing.statements import bundle_key


def write_plan(records: Records, plan: PromotionPlan, signing: Signing) -> None:
    """Keep a plan, signed by whoever made it if it has to be approved.

    Raises:
        ConflictError: there is a plan with this id already; it stays as it is.
    """
    try:
        records.store.create(plan_key(plan.plan_id), plan.model_dump_json(indent=1).encode())
    except FileExistsError:
        raise ConflictError(
            f"There is a plan {plan.plan_id} in {records.environment.name} already",
            "two plans of the same second got the same id, and a plan is never written over",
            "Make the plan again",
        ) from None
    if plan.demands:
        PlanFiles(records, plan.plan_id).sign_plan(plan, signing)


def read_plan(records: Records, text: str) -> PromotionPlan:
    """The plan that an id, a unique part of it or ``latest`` names.

    Raises:
        NotFoundError: none or several.
        DamagedError: its record cannot be read.
    """
    keys = [item.key.removeprefix(f"{PLANS}/") for item in records.store.entries(PLANS)]
    ids = [key.removesuffix(".json") for key in keys if key.endswith(".json") and "/" not in key]
    found = (
        [_latest(records, ids)] if text == "latest" and ids else [one for one in ids if text and text in one]
    )
    if len(found) != 1:
        name, why = (
            records.environment.name,
            f"{plural(len(found), 'plan', 'match', 'matches')}" if found else "no such plan",
        )
        raise NotFoundError(
            f"There is no plan {text} in {name}", why, f"Make one with slipway promote --to {name} --plan"
        )
    return PlanFiles(records, found[0]).plan()[0]


def _latest(records: Records, ids: Sequence[str]) -> str:
    """The plan that was made last: ids begin with a second, so the records decide between those that share it."""
    second = max(started_at(one) or datetime.min.replace(tzinfo=UTC) for one in ids)
    last = [one for one in ids if started_at(one) == second] or list(ids)
    if len(last) == 1:
        return last[0]
    made = {
        one: read_record(records.store, PromotionPlan, plan_key(one), plan_id=one).made_at for one in last
    }
    return max(last, key=lambda one: (made[one], one))


def authors(plan: PromotionPlan, source: Records, records: Records) -> list[Author]:
    """Who published the release of a plan, and who made the plan.

    Args:
        plan: a plan that is recorded.
        source: records of the environment to promote from.
        records: of the target.
    """
    released = statements_of(source, plan.rests_on.source_release)
    return PlanFiles(records, plan.plan_id).authors(plan.rests_on, trust_of(records.environment), released)


def judged_approvals(plan: PromotionPlan, source: Records, records: Records, *more: Author) -> Judgement:
    """The approvals of a plan at this moment; ``more`` is who promotes.

    Raises:
        ConfigError: keys.yml cannot be understood.
    """
    if not plan.demands:
        return judge((), (), ())
    given = PlanFiles(records, plan.plan_id).approvals(trust_of(records.environment))
    return judge(plan.demands, given, [*authors(plan, source, records), *more])


def approved_before(plan: PromotionPlan, records: Records) -> list[str]:
    """Other plans for the same release that somebody approved: their approvals are not of this one."""
    found = []
    for item in records.store.entries(PLANS):
        plan_id, _, rest = item.key.removeprefix(f"{PLANS}/").partition("/")
        if rest.startswith("approvals/") and plan_id != plan.plan_id and plan_id not in found:
            with suppress(DamagedError, NotFoundError):
                rests = read_plan(records, plan_id).rests_on
                if (rests.source, rests.source_release) == (
                    plan.rests_on.source,
                    plan.rests_on.source_release,
                ):
                    found.append(plan_id)
    return found


def statements_of(records: Records, number: int) -> bytes | None:
    """The signed statements about a release as they are, None where there are none."""
    try:
        return records.store.read(bundle_key(number))
    except FileNotFoundError:
        return None


def write_promotion(
    records: Records,
    promotion: Promotion,
    runs: Mapping[str, bytes],
    described: Mapping[str, bytes],
    evidence: Mapping[str, bytes],
) -> None:
    """Write down what is about to be published.

    Args:
        records: of the target.
        promotion: what was copied, and why it may be published.
        runs: manifests of the runs that vouch for it, by run id.
        described: dbt's manifests of runs, by run id: they have policies, classifications and exposures of its tables.
        evidence: what else it may be published for, such as approvals, by name.
    """
    folder = f"{PROMOTIONS}/{promotion.number:06d}"
    for run_id, content in described.items():
        records.store.create(f"{folder}/dbt/{run_id}.json", keep_dbt_manifest(records.store, content))
    for name, content in evidence.items():
        records.store.create(f"{folder}/{name}", content)
    for run_id, content in runs.items():
        records.store.create(f"{folder}/runs/{run_id}.json", content)
    records.store.create(f"{folder}/promotion.json", promotion.model_dump_json(indent=1).encode())


def read_promotion(records: Records, number: int) -> Promotion | None:
    """What was copied for a release; None for one that is no promotion."""
    return find_record(records.store, Promotion, f"{PROMOTIONS}/{number:06d}/promotion.json", number=number)
