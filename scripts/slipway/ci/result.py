"""What came of a change, and whether it passed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from slipway.comparison.report import ComparisonReport
from slipway.contracts.contract_changes import ContractDiff
from slipway.counts import size
from slipway.records.node_results import Change
from slipway.records.release_records import Release
from slipway.records.run_manifest import RunManifest
from slipway.releases.rollback_rules import Exposure


@dataclass(frozen=True)
class Rebuild:
    """Incremental models whose code changed, built from everything, after what a run does of them.

    Args:
        run: the full refresh of these models and of what is downstream of them.
        report: the tables that it leaves otherwise than a run does, compared with the release; None where there is none.
    """

    run: RunManifest
    report: ComparisonReport | None

    @property
    def passed(self) -> bool:
        """Whether everything built and passed, and every difference is declared."""
        return self.run.outcome.is_current and (self.report is None or self.report.passed)


@dataclass(frozen=True)
class CiResult:
    """What came of a change.

    Args:
        run: what a run of the changed nodes does, None when nothing is touched.
        report: the comparison with the release; None when there was nothing to compare. Tables of models that are gone
            are compared, too.
        against: the release that the change was compared with; None for a full build without one.
        remarks: sentences about how that release was found.
        rebuild: what a full refresh of incremental models does whose code changed; None where it need not be looked at.
        stale: tables with rows that other code made and that a run would not make again, and what the release needs.
        kept: such tables whose rows are declared to stay, with the reason.
        remade: incremental tables whose code changed and of which a run makes all rows anew, and why nothing else is needed.
        parents: ``layer.table`` to the tables that its model reads.
        exposures: that read a table which differs.
        contracts: that differ from those of the base commit.
        base_commit: where the branch was cut, None where it is not known.
        former_tests: unique ids of the tests that the code of the release has, None where that code is not known.
    """

    run: RunManifest | None
    report: ComparisonReport | None
    against: Release | None
    remarks: tuple[str, ...] = ()
    rebuild: Rebuild | None = None
    stale: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    remade: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, Collection[str]] = field(default_factory=dict)
    exposures: Sequence[Exposure] = ()
    contracts: Sequence[ContractDiff] = ()
    base_commit: str | None = None
    former_tests: Collection[str] | None = None

    @property
    def passed(self) -> bool:
        """Whether everything built and passed, and every difference is declared, of a run and of a full refresh where it is needed."""
        # unchanged: only a test differs
        built = self.run is None or self.run.outcome.is_current
        return (
            built
            and not any(one.failures for one in self.contracts)
            and not self.why_nothing_was_checked
            and (self.report is None or self.report.passed)
            and (self.rebuild is None or self.rebuild.passed)
        )

    @property
    def why_nothing_was_checked(self) -> str:
        """Why a run of changed nodes says nothing about them; empty where something was compared or tested."""
        if self.run is None or self.report is not None or self.run.tests.executed:
            return ""
        if not self.run.outcome.is_current:  # its own reason is why
            return ""
        inputs = [node.table or node.unique_id for node in self.run.nodes if node.change is Change.PINNED]
        if not inputs:
            return ""
        return f"nothing was compared: {', '.join(inputs)} is an input, which is taken as published; add a test of it"


def described(run: RunManifest) -> list[str]:
    """How much a run built, and what its tests say, in two parts of a sentence."""
    tests, seconds = run.tests, (run.finished_at - run.started_at).total_seconds()
    written = sum(node.bytes_written or 0 for node in run.nodes)
    return [
        f"Built {run.tables_built} in {seconds:,.1f} s ({size(written)});",
        f"tests: {tests.executed} executed, {tests.failed} failed, {tests.warned} warned, {tests.not_run} not run.",
    ]
