"""``slipway promote``, ``slipway plan`` for the plans that it makes, and ``slipway approve``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.promotion.planning import Proposal
    from slipway.records.promotion_records import PromotionPlan, Rebuilt
    from slipway.records.release_records import Release
    from slipway.records.run_manifest import RunManifest
    from slipway.signing.approval_rules import Judgement

NOT_MET = 1


@click.command("promote")
@click.argument("what", metavar="[RELEASE|PLAN]", required=False)
@click.option(
    "--from", "source", help="Environment to promote from. [default: the only one that promotion.yml allows]"
)
@click.option("--to", "target", required=True, help="Environment to promote to.")
@click.option("--plan", "only_plan", is_flag=True, help="Record a plan, and change nothing else.")
@click.option(
    "--replace",
    is_flag=True,
    help="Take the place of tables that the target built itself; a rollback does not bring them back.",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Copy nothing: have the target build the commit of the release itself, on its own inputs.",
)
@click.option("--reason", default="", help="Why; it is recorded.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.wait
@options.output("text", "json")
@options.project_dir
def command(
    *,
    what: str | None,
    source: str | None,
    target: str,
    only_plan: bool,
    replace: bool,
    rebuild: bool,
    reason: str,
    yes: bool,
    wait: int,
    output_: str,
    project_dir: Path | None,
) -> None:
    """Promote a release to another environment: copy its data files, and publish all its tables in one step.

    RELEASE is a number, by default that of the last release. What promotion.yml demands is looked up in the records of the
    runs that made the tables. Files that the target has already are not copied again. With --plan nothing is copied: the
    plan is recorded and printed. PLAN, its id, carries it out if nothing that it rests on has changed.

    With --rebuild no data is copied. A run of the target builds the commit of the release, which has to be checked out; what it
    builds has to meet promotion.yml as well, is compared with the release, and is published in one step.

    Exit code 1 means that a rule of the policy is not met or approvals are missing, 4 that a plan is void or a table has
    moved. In all these cases nothing was published.
    """
    from slipway.environments.profiles import find_project
    from slipway.promotion.build_again import check_code
    from slipway.promotion.promote import check_approvals, check_evidence

    project = find_project(project_dir)
    if what is None or what.isdecimal():
        proposal = _proposed(project, source, target, what, replace=replace, rebuild=rebuild)
    else:
        proposal = _recorded(
            project, target, what, of_release=bool(only_plan or source or replace or rebuild)
        )
    for line in proposal.healed:
        output.message(line)
    changes = proposal.is_needed and not only_plan
    if changes:
        check_evidence(proposal)
        check_approvals(proposal)
        check_code(proposal)
    if output_ == "text":
        _explain(proposal)
    if not changes:
        _print(proposal, None, output_, planned=only_plan)
        if proposal.plan.unmet:
            raise click.exceptions.Exit(NOT_MET)
        return
    options.confirm(yes=yes)
    release, rebuilt = _carried_out(proposal, reason, wait)
    if release:
        output.done(f"Release {release.number} in {release.target} is published")
    _print(proposal, release, output_, rebuilt=rebuilt)


def _proposed(
    project: Path, source: str | None, target: str, number: str | None, *, replace: bool, rebuild: bool
) -> Proposal:
    """A promotion that is planned now; the plan is recorded."""
    from slipway.errors import UsageError
    from slipway.promotion.planning import keep, propose

    if rebuild and replace:
        raise UsageError(
            "--rebuild and --replace do not go together",
            "a run that builds a table again continues the one that is there",
            "Give one of them",
        )
    proposal = propose(
        project, source, target, int(number) if number else None, replace=replace, rebuild=rebuild
    )
    if proposal.is_needed:
        keep(proposal)
    return proposal


def _recorded(project: Path, target: str, plan_id: str, *, of_release: bool) -> Proposal:
    """A promotion that was planned before; ``of_release`` says that options were given that only a release has."""
    from slipway.errors import UsageError
    from slipway.promotion.planning import again

    if of_release:
        raise UsageError(
            f"Plan {plan_id} says already what is done",
            "--plan, --from, --replace and --rebuild belong to a release",
            "Leave them out",
        )
    return again(project, target, plan_id)


def _carried_out(proposal: Proposal, reason: str, wait: int) -> tuple[Release | None, Rebuilt | None]:
    """Copy or build what a promotion is of, and publish it."""
    from slipway.promotion.promote import carry_out

    if not proposal.plan.rests_on.rebuilds:
        return carry_out(proposal, reason, output.message, wait=wait), None

    from slipway.cli.progress_line import show_progress
    from slipway.dbt.start import RunOptions, run
    from slipway.promotion.build_again import rebuild

    def build(variables: Mapping[str, Any], staged_for: str) -> RunManifest:
        with show_progress() as show:
            return run(
                RunOptions(
                    project=proposal.gathered.project,
                    target=proposal.target.name,
                    vars=dict(variables),
                    command=["slipway", *sys.argv[1:]],
                    wait=wait,
                    staged_for=staged_for,
                ),
                show,
            ).manifest

    return rebuild(proposal, reason, build, output.message, wait=wait)


def _print(
    proposal: Proposal,
    release: Release | None,
    form: str,
    *,
    planned: bool = False,
    rebuilt: Rebuilt | None = None,
) -> None:
    plan, rests = proposal.plan, proposal.plan.rests_on
    if form == "json":
        kept = plan.model_dump(mode="json") if proposal.is_needed else None
        output.as_json(
            {
                "target": rests.target,
                "from": rests.source,
                "from_release": rests.source_release,
                "release": release.number if release else None,
                "tables": len(rests.tables),
                "files_copied": plan.files if release else 0,
                "bytes_copied": plan.bytes if release else 0,
                "plan": kept,
                "rebuilt": rebuilt.model_dump(mode="json") if rebuilt else None,
            }
        )
    elif rebuilt:
        _tell_rebuilt(proposal, release, rebuilt)
    elif release:
        output.line(
            f"Release {release.number} in {rests.target} shows release {rests.source_release} of {rests.source}: "
            f"{plural(len(rests.tables), 'table')}, {plural(plan.files, 'file')} copied, {figures.size(plan.bytes)}."
        )
    elif planned and proposal.is_needed:
        if plan.unmet:
            output.message(
                f"Plan {plan.plan_id} cannot be carried out: its evidence does not meet promotion.yml."
            )
        else:
            for demand in plan.demands:
                output.message(f"{demand.described()} must approve it.")
            if plan.demands:
                output.message(f"Approve it with slipway approve {plan.plan_id} --target {rests.target}")
            output.message(f"Carry it out with slipway promote {plan.plan_id} --to {rests.target}")


def _tell_rebuilt(proposal: Proposal, release: Release | None, rebuilt: Rebuilt) -> None:
    """What was built, and how it differs from the release that was promoted."""
    rests = proposal.plan.rests_on
    source = f"release {rests.source_release} of {rests.source}"
    made = f"commit {rebuilt.commit[:12]} makes of the inputs of {rests.target}"
    if release:
        changed = sum(table.changed for table in release.tables.values())
        output.line(
            f"Release {release.number} in {rests.target} shows what {made}, for {source}: {plural(changed, 'table')} changed by run {rebuilt.run_id}."
        )
    else:
        output.line(f"{rests.target} shows already what {made}: nothing was published.")
    if rebuilt.problem:
        output.line(f"It was not compared with {source}: {rebuilt.problem}")
        return
    output.result("")
    output.table(
        ("table", f"compared with {source}", f"rows in {rests.source}", f"rows in {rests.target}"),
        [
            (
                name,
                table.verdict.replace("_", " "),
                figures.number(table.source_rows),
                figures.number(table.rows),
            )
            for name, table in sorted(rebuilt.tables.items(), key=lambda item: figures.by_layer(item[0]))
        ],
        right=(f"rows in {rests.source}", f"rows in {rests.target}"),
    )


def _explain(proposal: Proposal) -> None:
    plan, rests = proposal.plan, proposal.plan.rests_on
    if not proposal.is_needed:
        output.line(f"{rests.target} shows release {rests.source_release} of {rests.source} already.")
        return
    _show(plan)


def _show(plan: PromotionPlan) -> None:
    rests = plan.rests_on
    shows = f"release {rests.target_release}" if rests.target_release else "no release"
    output.line(
        f"Plan {plan.plan_id}: release {rests.source_release} of {rests.source} to {rests.target}, which shows {shows}"
    )
    output.fields(
        [
            ("made", f"{figures.moment(plan.made_at)} UTC by {plan.who}"),
            ("digest", plan.digest),
            ("to copy", f"{plural(plan.files, 'file')}, {figures.size(plan.bytes)}")
            if not rests.rebuilds
            else ("to build", f"the commit of the release, by a run of {rests.target}"),
        ]
    )
    output.result("")
    output.table(
        ("table", "", "rows", "files", "bytes", "snapshot now", "snapshot then"),
        [
            (
                name,
                table.action,
                figures.number(table.rows) if table.action != "retired" else None,
                table.files or None,
                figures.size(table.bytes) if table.files else None,
                table.base_snapshot,
                table.snapshot_id,
            )
            for name, table in sorted(rests.tables.items(), key=lambda item: figures.by_layer(item[0]))
        ],
        right=("rows", "files", "bytes", "snapshot now", "snapshot then"),
        optional=("snapshot now", "snapshot then"),
    )
    if plan.unchanged:
        output.line(f"{plural(len(plan.unchanged), 'table')} already shown.")
    for name, why in sorted(plan.left_out.items()):
        output.line(f"{name} is not promoted: {why}.")
    output.result("")
    output.table(
        ("evidence", "", "found"),
        [(one.rule, "met" if one.met else "NOT MET", one.why) for one in plan.evidence],
    )


@click.group("plan")
def plan() -> None:
    """Plans of promotions."""


@plan.command("show")
@click.argument("plan_id", metavar="PLAN", default="latest")
@options.common
def show(plan_id: str, *, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Explain a plan that slipway promote made for an environment: its tables, each rule of the policy, and its approvals.

    PLAN is its id, a unique part of it, or latest. The target is the environment to promote to. Of approvals it says which
    are there, which of them count, and which are missing.
    """
    from slipway.environments.profiles import find_project
    from slipway.promotion.approving import explain

    found = explain(find_project(project_dir), target, plan_id)
    if output_ == "json":
        output.as_json(
            {
                **found.plan.model_dump(mode="json"),
                **_approvals(found.judgement),
                "void": found.void,
                "release": found.release,
            }
        )
        return
    _show(found.plan)
    _show_approvals(found.judgement)
    if found.release:
        output.line(f"\nIt was carried out as release {found.release}.")
    elif found.void:
        output.line(f"\nIt is void: {found.void}.")


def _show_approvals(judgement: Judgement) -> None:
    if not (judgement.demands or judgement.approvals):
        return
    output.result("")
    output.table(
        ("approval", "", "by", "of tables"),
        [
            (
                demand.described(),
                "met" if len(people) >= demand.count else "NOT MET",
                ", ".join(people),
                ", ".join(demand.tables),
            )
            for demand, people in judgement.demands
        ],
    )
    for why in judgement.unknown:
        output.line(f"{why[0].upper()}{why[1:]}.")
    for one in judgement.approvals:
        who = f"{one.owner} ({one.name})" if one.owner else one.name
        at = f" at {one.approved_at[:16].replace('T', ' ')} UTC" if one.approved_at else ""
        output.line(f"{who}{at}: {'counts' if one.counts else f'does not count: {one.why_not}'}.")


def _approvals(judgement: Judgement) -> dict[str, Any]:
    return {
        "approvals": [
            {
                "key": one.key,
                "name": one.name,
                "owner": one.owner,
                "roles": sorted(one.roles),
                "approved_at": one.approved_at,
                "counts": one.counts,
                "why_not": one.why_not,
            }
            for one in judgement.approvals
        ],
        "approved": not judgement.missing,
        "missing": judgement.missing,
    }


@click.command("approve")
@click.argument("plan_id", metavar="PLAN")
@click.option("--withdraw", is_flag=True, help="Withdraw the approval by this key, for good.")
@click.option("--reason", default="", help="Why; it is recorded and signed.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.common
def approve(
    plan_id: str,
    *,
    withdraw: bool,
    reason: str,
    yes: bool,
    output_: str,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Approve a plan of slipway promote: show it, and sign it with the key of SLIPWAY_SIGNING_KEY.

    PLAN is its id or a unique part of it, and the target is the environment to promote to. keys.yml has to name the key with
    its owner. Who published the release or made the plan cannot approve it. An approval is of one plan as it is recorded: if
    anything that the plan rests on changes, plan and approvals are void.
    """
    from slipway.environments.profiles import find_project
    from slipway.promotion.approving import check_approver, explain, give
    from slipway.promotion.approving import withdraw as take_back

    project = find_project(project_dir)
    if withdraw:
        plan, is_new = take_back(project, target, plan_id, reason)
        done = "is withdrawn" if is_new else "was withdrawn before"
    else:
        proposal, approver = check_approver(project, target, plan_id)
        plan = proposal.plan
        if output_ == "text":
            _show(plan)
            output.result("")
        options.confirm(yes=yes)
        is_new = give(proposal, approver, reason)
        done = "is given" if is_new else "was given before"
    judgement = explain(project, target, plan.plan_id).judgement
    if output_ == "json":
        output.as_json({"plan_id": plan.plan_id, "changed": is_new, **_approvals(judgement)})
        return
    output.line(f"The approval of plan {plan.plan_id} {done}.")
    _show_approvals(judgement)
    if not judgement.missing:
        output.message(f"Carry it out with slipway promote {plan.plan_id} --to {plan.rests_on.target}")
