"""Whether a release has the evidence that a policy demands: a finding for each rule, from nothing but records.

A rule that cannot be evaluated is not met, and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from slipway.counts import plural
from slipway.environments.environment import Mode
from slipway.promotion.promotion_policy import Require
from slipway.records.conservation import Conservation
from slipway.records.promotion_records import CodeComparison, Finding
from slipway.records.run_ids import AHEAD
from slipway.records.run_manifest import RunManifest
from slipway.runs.decision import late_sources, tests_problem, why_not_published

_NAMED = 3
_ALL = 100.0
_FAILING = ("different", "not compared")
"""Verdicts of a comparison that fail it."""


@dataclass(frozen=True)
class Facts:
    """What is known of a release that is to be promoted.

    Args:
        mode: of the environment that it is promoted to.
        now: an aware datetime.
        runs: manifests of the runs that vouch for its tables, by run id.
        vouched: ``layer.table`` of what is moved, to the run that vouches for it; None where no run does.
        unknown: why manifests of runs are not known, by run id.
        off_branch: why a commit is not on the branch that is demanded; empty when it is.
        compared: the canary of each commit that has one, as ``best_comparison`` chooses it.
        contracts: why contracts do not keep their promises since the last promotion, a sentence each; None where it is
            not asked for.
        unsigned: why no signature that counts stands for the record of the release; empty when one does.
    """

    mode: Mode
    now: datetime
    runs: Mapping[str, RunManifest]
    vouched: Mapping[str, str | None]
    unknown: Mapping[str, str] = field(default_factory=dict)
    off_branch: Callable[[str, str], str] = lambda *_: "git was not asked"
    compared: Mapping[str, CodeComparison] = field(default_factory=dict)
    contracts: Sequence[str] | None = None
    unsigned: str = ""


Rule = Callable[[RunManifest], str]
"""Why a run does not meet a rule; empty when it does."""


def evaluate(require: Require, facts: Facts) -> list[Finding]:
    """A finding for each rule that is demanded; the gates of the environment's mode always are."""
    found = [
        _vouching(facts),
        _of_runs(
            f"gates of mode {facts.mode}",
            facts,
            lambda run: why_not_published(run, facts.mode, facts.now),
            "what slipway publish asks for is met",
        ),
    ]
    for name, rule, met in _rules(require, facts):
        found.append(_of_runs(name, facts, rule, met))
    if require.asks_for_comparison:
        found.append(_covering(facts, require.comparison_min_percent))
    if require.signed:
        why = facts.unsigned or "a key that counts signed the record of the release"
        found.append(Finding(rule="signed", met=not facts.unsigned, why=why))
    if require.contracts_compatible:
        broken = facts.contracts if facts.contracts is not None else ["contracts were not compared"]
        why = " ".join(broken) or "no contract broke a promise without a new version"
        found.append(Finding(rule="contracts_compatible", met=not broken, why=why))
    return found


def _rules(require: Require, facts: Facts) -> Iterator[tuple[str, Rule, str]]:
    """Name, rule and what is said when it is met."""
    if require.tests_passed:
        yield "tests_passed", _tests, "every test was executed or carried, and none failed"
    if require.rows_balance:
        yield "rows_balance", _balance, "the rows of every feed add up"
    if require.clean_commit:
        yield "clean_commit", lambda run: run.code.unknown, "the code is what a commit holds"
    if branch := require.commit_on:
        yield (
            "commit_on",
            lambda run: facts.off_branch(run.code.commit, branch) if run.code.commit else run.code.unknown,
            f"the commit is on {branch}",
        )
    if (age := require.run_max_age) is not None:
        yield (
            "run_max_age",
            lambda run: _too_old(run, age, facts.now),
            f"no run is older than {described_age(age)}",
        )
    if (span := require.comparison_max_age) is not None:
        yield (
            "comparison_max_age",
            lambda run: _comparison(run, facts.compared, span, facts.now),
            f"a canary of the commit passed, and is not older than {described_age(span)}",
        )
    if require.sources_fresh:
        yield "sources_fresh", lambda run: _freshness(run, facts.now), "no source is older than it allows"
    if (most := require.quarantine_max_percent) is not None:
        yield (
            "quarantine_max_percent",
            lambda run: _quarantine(run, most),
            f"no feed has more than {most:g} percent of its rows in quarantine",
        )


def _vouching(facts: Facts) -> Finding:
    """Whether the records of the runs are there that built or confirmed the tables."""
    without = sorted(name for name, run_id in facts.vouched.items() if run_id is None)
    parts = [f"no run vouches for {_some(without)}"] if without else []
    parts += [f"run {run_id}: {why}" for run_id, why in sorted(facts.unknown.items())]
    met = f"the records of {plural(len(facts.runs), 'run')} vouch for {plural(len(facts.vouched), 'table')}"
    return Finding(rule="records", met=not parts, why="; ".join(parts) or met)


def _of_runs(name: str, facts: Facts, rule: Rule, met: str) -> Finding:
    unmet = [f"run {run_id}: {why}" for run_id, run in sorted(facts.runs.items()) if (why := rule(run))]
    if not facts.runs and facts.vouched:
        unmet = ["no manifest of a run can be read"]
    return Finding(rule=name, met=not unmet, why="; ".join(unmet) or met)


def _tests(run: RunManifest) -> str:
    if run.tests.expected == 0:
        return "it has no tests"
    return tests_problem(run.tests, Mode.PRODUCTION)


def _balance(run: RunManifest) -> str:
    if run.not_counted:
        one = run.not_counted[0]
        return f"the rows of {one.raw} were not counted: {one.reason}"
    if not run.conservation:
        return "it counted the rows of no feed"
    return next((item.problem for item in run.conservation if item.problem), "")


def _freshness(run: RunManifest, now: datetime) -> str:
    if not run.freshness:
        return "it looked at the freshness of no source"
    return late_sources(run, now)


def _too_old(run: RunManifest, age: timedelta, now: datetime) -> str:
    began = f"it began at {run.started_at:%Y-%m-%d %H:%M} UTC"
    if run.started_at > now + AHEAD:
        return f"{began}, by a clock that was wrong"
    return f"{began}, which is longer ago than {described_age(age)}" if now - run.started_at > age else ""


def _comparison(
    run: RunManifest, compared: Mapping[str, CodeComparison], span: timedelta, now: datetime
) -> str:
    if (commit := run.code.commit) is None:
        return run.code.unknown
    if (found := compared.get(commit)) is None:
        return f"no canary of commit {commit[:12]} is recorded: slipway canary --record makes one"
    return _why_not_valid(found, span, now)


def _why_not_valid(found: CodeComparison, span: timedelta, now: datetime) -> str:
    """Why a canary does not meet ``comparison_max_age``; empty when it does."""
    commit = found.commit
    when = f"the last canary of commit {commit[:12]} was made at {found.made_at:%Y-%m-%d %H:%M} UTC"
    if found.base == commit[:12]:
        return f"{when}, and compared it with itself"
    if not found.passed:
        worst = sorted(name for name, verdict in found.verdicts.items() if verdict in _FAILING)
        return f"{when} and did not pass: {found.why_failed or _some(worst) or 'it compared nothing'}"
    if found.made_at > now + AHEAD:
        return f"{when}, by a clock that was wrong"
    return f"{when}, which is longer ago than {described_age(span)}" if now - found.made_at > span else ""


def best_comparison(
    known: Iterable[CodeComparison], require: Require, now: datetime
) -> CodeComparison | None:
    """The canary of a commit that counts as evidence: the newest that meets all that is demanded of one, or else the newest.

    A newer canary takes the place of earlier ones if it did not pass, or compared with another commit: what it found is not undone by what was known before.

    Args:
        known: canaries of one commit, in any order.
        require: the rules.
        now: an aware datetime.
    """
    ordered = sorted(known, key=lambda one: one.made_at, reverse=True)
    if not ordered:
        return None
    same = takewhile(lambda one: one.passed and one.base == ordered[0].base, ordered)
    return next((one for one in same if not _why_not_enough(one, require, now)), ordered[0])


def _why_not_enough(canary: CodeComparison, require: Require, now: datetime) -> str:
    span = require.comparison_max_age
    why = _why_not_valid(canary, span, now) if span is not None else ""
    return why or _covers_too_little(canary, require.comparison_min_percent)


def _covering(facts: Facts, least: float) -> Finding:
    """Whether canaries compared enough of each table, with the table of which they compared the smallest share."""
    commits = sorted({run.code.commit for run in facts.runs.values() if run.code.commit})
    known = [one for commit in commits if (one := facts.compared.get(commit))]
    unmet = [why for one in known if (why := _covers_too_little(one, least))]
    missing = [commit for commit in commits if commit not in facts.compared]
    if missing or not commits:
        unmet.append(
            "no canary is recorded"
            + (f" of commit {', '.join(one[:12] for one in missing)}" if missing else "")
        )
    met = "; ".join(
        f"the canary of commit {one.commit[:12]} compared {_least_compared(one)}, and {least:g} percent are demanded"
        for one in known
    )
    return Finding(rule="comparison_min_percent", met=not unmet, why="; ".join(unmet) or met)


def _covers_too_little(canary: CodeComparison, least: float) -> str:
    of = f"the canary of commit {canary.commit[:12]}"
    if not canary.compared:
        if canary.is_of_whole_input or not least:
            return ""
        return f"{of} compared a part of the input ({canary.covers}), and its record does not say how much of each table that is"
    unknown = sorted(name for name, rows in canary.compared.items() if rows.percent is None)
    if unknown and least:
        return f"how much {of} compared of {_some(unknown)} is not known, because the whole table is not published"
    few = [name for name, rows in canary.compared.items() if (rows.percent or 0.0) < least]
    if not few:
        return ""
    return f"{of}, of {canary.covers}, compared {_least_compared(canary)}, and {least:g} percent are demanded"


def _least_compared(canary: CodeComparison) -> str:
    """The share of the table of which least was compared."""
    shares = {name: rows for name, rows in canary.compared.items() if rows.percent is not None}
    if not shares:
        return canary.covers
    name = min(shares, key=lambda one: (shares[one].percent or 0.0, one))
    one = shares[name]
    if one.percent == _ALL:
        return "all rows of every table"
    share = f"{one.percent:.3g} percent of the rows of {name} ({one.rows or 0:,} of {one.of or 0:,})"
    return f"{share}{', of other tables more' if len(shares) > 1 else ''}"


def _quarantine(run: RunManifest, most: float) -> str:
    if not run.conservation:
        return "it counted the rows of no feed"
    over = [item for item in run.conservation if _percent(item) > most]
    return "; ".join(
        f"{_percent(item):.3g} percent of the rows of {item.raw} are in {item.quarantine}, and {most:g} are allowed"
        for item in over
    )


def _percent(item: Conservation) -> float:
    return 100 * item.quarantined_rows / max(item.landed, 1)


def described_age(age: timedelta) -> str:
    """An age in days, or hours."""
    hours = int(age.total_seconds() // 3600)
    return plural(hours // 24, "day") if hours % 24 == 0 and hours else plural(hours, "hour")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
