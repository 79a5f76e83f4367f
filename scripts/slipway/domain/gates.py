"""What is asked once more when a person publishes a run that was staged, maybe long ago."""

from __future__ import annotations

from datetime import datetime

from slipway.domain.decision import set_aside_reason
from slipway.domain.environment import Mode
from slipway.domain.manifest import Conservation, Freshness, RunManifest, Tests
from slipway.domain.run import AHEAD, Outcome

_PASSED, _WARNED, _NOT_RUN = ("pass",), ("warn",), ("not run", "skipped")
_BUILT = ("success",)


def closed_gate(manifest: RunManifest, mode: Mode, now: datetime) -> str:
    """Why a run may not be published now, empty when it may.

    Nothing is taken on trust that can be counted again from the run manifest; how old the sources are is asked anew.

    Args:
        manifest: the run.
        mode: of the environment.
        now: an aware datetime.
    """
    if manifest.outcome is not Outcome.STAGED:
        return f"{manifest.outcome}: {manifest.reason}"
    if failed := [node.table or node.unique_id for node in manifest.nodes if node.status not in _BUILT]:
        return f"{', '.join(failed)} was not built"
    if mode is not Mode.EXPLORATORY and (other := [node for node in manifest.nodes if node.stale]):
        return f"{other[0].table} is stale: {other[0].stale}"
    if why := _tests(manifest.tests, mode) or _conservation(manifest.conservation):
        return why
    if mode is not Mode.EXPLORATORY and (stale := [item for item in manifest.freshness if _stale(item, now)]):
        return "; ".join(_told(item, now) for item in stale)
    aside = [item.path for item in manifest.outstanding if item.blocks]
    if mode is not Mode.EXPLORATORY and aside:
        return set_aside_reason(aside)
    if mode is Mode.PRODUCTION and (why := manifest.code.unknown):
        return f"it was built from a work tree with uncommitted changes, or from more than one commit ({why})"
    return ""


def _tests(tests: Tests, mode: Mode) -> str:
    statuses = [test.status for test in tests.results]
    known = {*_PASSED, *_WARNED, *_NOT_RUN}
    if failed := [test.name for test in tests.results if test.status not in known]:
        return f"{', '.join(failed)} failed"
    not_run = sum(status in _NOT_RUN for status in statuses)
    carried = sum(test.carried for test in tests.results)
    counted = (len(statuses), len(statuses) - carried - not_run, carried, not_run, 0)
    if counted != (tests.expected, tests.executed, tests.carried, tests.not_run, tests.failed):
        return "its evidence is not complete: the tests of its run manifest do not add up"
    if not_run and mode is not Mode.EXPLORATORY:
        names = [test.name for test in tests.results if test.status in _NOT_RUN]
        named = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        return f"{not_run} tests of what was built were not run: {named}; slipway run builds and runs them"
    return ""


def _conservation(found: list[Conservation]) -> str:
    for item in found:
        out = item.curated_rows + item.quarantined_rows + item.deduplicated
        if item.deduplicated < 0 or item.landed != out:
            return f"more rows came out of {item.raw} than landed there"
    return ""


def _stale(item: Freshness, now: datetime) -> bool:
    age = (now - item.last_landed_at).total_seconds() if item.last_landed_at else None
    return item.model_copy(update={"age_seconds": age}).status == "error"


def _told(item: Freshness, now: datetime) -> str:
    if item.last_landed_at is None:
        return f"{item.source} never brought a file"
    if item.last_landed_at > now + AHEAD:
        when = f"{item.last_landed_at:%Y-%m-%d %H:%M} UTC"
        return f"{item.source} brought its last file by a clock that said {when}: how old it is is not known"
    return (
        f"{item.source} brought its last file of this run at {item.last_landed_at:%Y-%m-%d %H:%M} UTC, "
        "which is longer ago than its source allows"
    )
