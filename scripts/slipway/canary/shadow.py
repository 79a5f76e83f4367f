"""Shadow runs: head built next to production on the inputs of the last release, compared with it, and written down.

Nothing is published, and nothing is staged in the environment. A shadow run that is killed leaves only a temporary folder, which
later commands remove.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slipway.canary.builds import NotBuiltError
from slipway.canary.compare_versions import canary
from slipway.canary.published_base import PublishedBase, published_base
from slipway.code.versions import code_of, who
from slipway.comparison.report import ComparisonReport, why_failed
from slipway.environments.environment import check_vars
from slipway.environments.profiles import Profile
from slipway.errors import SlipwayError
from slipway.processes import too_late
from slipway.records.run_ids import new_run_id
from slipway.records.run_manifest import Code
from slipway.records.shadow_runs import ShadowOutcome, ShadowRun, keep_shadow_run


def shadow_run(
    project: Path,
    target: str | None,
    variables: Mapping[str, Any],
    select: Sequence[str],
    tell: Callable[[str], None],
) -> ComparisonReport:
    """Build the work tree on the inputs of the last release, compare it with what is published, and record the result.

    Args:
        project: folder of dbt_project.yml.
        target: the environment.
        variables: dbt variables; those of the run of the last release.
        select: dbt selectors.
        tell: gets lines for the person who watches.

    Raises:
        NotBuiltError: a table cannot be built; recorded as failed.
        SlipwayError: what is published cannot be the base; recorded as not compared. Or the code changed meanwhile; not recorded.
        UnavailableError: the environment cannot be read or written; not recorded.
    """
    check_vars(variables)
    base = published_base(Profile(project), target, variables)
    shadow = _Shadow(project, base, select, code_of(project), datetime.now(UTC))
    try:
        report, _ = canary(
            project, target, base, dict(variables), select, tell, keep=False, title="Shadow run"
        )
    except NotBuiltError as error:
        shadow.keep(ShadowOutcome.FAILED, error.line())
        raise
    except SlipwayError as error:
        if (
            type(error) is SlipwayError
        ):  # others say that something is not there or cannot be reached, and nothing of the code
            shadow.keep(ShadowOutcome.NOT_COMPARED, error.line())
        raise
    shadow.keep(ShadowOutcome.PASSED if report.passed else ShadowOutcome.FAILED, why_failed(report), report)
    tell(f"recorded as shadow run {shadow.shadow_id}; nothing was published")
    return report


class _Shadow:
    """A shadow run that has begun."""

    def __init__(
        self, project: Path, base: PublishedBase, select: Sequence[str], code: Code, now: datetime
    ) -> None:
        self.shadow_id = new_run_id(now)
        self._project, self._base, self._select, self._code, self._began = project, base, select, code, now

    def keep(self, outcome: ShadowOutcome, reason: str, report: ComparisonReport | None = None) -> None:
        """Write down how it ended."""
        if code_of(self._project) != self._code:
            raise SlipwayError(
                "The result of the shadow run was not recorded",
                "the work tree has changed since it began, so it is not known what was built",
                "Run it again",
            )
        published = self._base.published
        found = ShadowRun(
            shadow_id=self.shadow_id,
            started_at=self._began,
            finished_at=datetime.now(UTC),
            who=who(),
            target=published.environment.name,
            code=self._code,
            release=self._base.release.number,
            outcome=outcome,
            reason=reason,
            select=list(self._select),
            verdicts={table.name: table.verdict.words for table in report.tables} if report else {},
            failing_tests=[test.name for test in report.tests.failing] if report and report.tests else [],
        )
        with too_late():
            keep_shadow_run(published.records, found)
