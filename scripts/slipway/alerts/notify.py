"""Notify people: what was found is compared with what is open, and what is due is sent and noted.

Nothing here changes how a run ended: what cannot be delivered is a line for whoever watches, stands in the state, and is tried again by the next
run or ``slipway watch``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from slipway.alerts.alert_state import AlertState
from slipway.alerts.causes import (
    Affected,
    Cause,
    Entry,
    Message,
    Observation,
    State,
    claimed,
    due,
    forgotten,
    observe,
    settled,
)
from slipway.alerts.delivery import deliver, deliver_test
from slipway.alerts.lineage import Lineage
from slipway.alerts.observed import of_run
from slipway.alerts.routes import FILE, Route, read_routes
from slipway.contracts.contract_files import look_at_all
from slipway.contracts.model import Contract
from slipway.environments.environment import Environment
from slipway.environments.profiles import Profile, find_project
from slipway.errors import DamagedError, NotFoundError, SlipwayError
from slipway.records.store import Records
from slipway.releases.holds import Holds
from slipway.secrets import hide, one_line

Deliver = Callable[[Message, Route, str], None]


def notify(
    records: Records,
    routes: dict[str, Route],
    observation: Observation,
    affected: Callable[[Cause], Affected],
    now: datetime,
    send: Deliver = deliver,
) -> tuple[State, list[SlipwayError]]:
    """Record what was found, and send what is due.

    Args:
        records: of the environment.
        routes: those of the environment, by name.
        observation: what was looked at.
        affected: who has to do with a cause.
        now: the time, UTC.
        send: sends one message.

    Returns:
        The state after it, and why messages could not be delivered.

    Raises:
        DamagedError: the state cannot be read.
        UnavailableError: the state cannot be read or written; nothing was sent, or it is not noted that it was.
    """
    state, held = AlertState(records.store), _is_held(records)
    messages: list[Message] = []

    def begin(before: State) -> State:
        after = forgotten(observe(before, observation, affected, now), routes)
        messages[:] = due(after, lambda name, entry: routes[name].wants(entry), list(routes), now, held=held)
        return claimed(after, messages, now)

    after = state.change(begin)
    failures: list[SlipwayError] = []
    for message in messages:
        error = None
        try:
            send(message, routes[message.route], records.environment.name)
        except SlipwayError as found:
            error = found
            failures.append(found)
        # noted at once: whatever happens to the next one, this one is not sent again
        after = state.change(_outcome(message, now, error.line() if error else ""))
    return after, failures


def _outcome(message: Message, now: datetime, error: str) -> Callable[[State], State]:
    return lambda state: settled(state, message, now, error)


def _is_held(records: Records) -> bool:
    try:
        return Holds(records).current() is not None
    except DamagedError:  # it is in force
        return True


def contracts_of(project: Path) -> list[Contract]:
    """The contracts of a project, without those that something is wrong with: runs and lint report these."""
    return [one.contract for one in look_at_all(project) if one.contract]


def lineage_of(records: Records, run_id: str | None, contracts: Sequence[Contract]) -> Lineage:
    """What is affected, as a run's manifest of dbt says; only from contracts where there is none."""
    manifest = {}
    with suppress(SlipwayError):
        manifest = (records.dbt_manifest(run_id) if run_id else None) or {}
    return Lineage(manifest, contracts)


def after_run(project: Path, records: Records, run_id: str) -> list[str]:
    """Tell what a run found, once its records are written.

    Returns:
        A line for each message that could not be delivered, and for every other reason why nobody was notified.
    """
    try:
        routes = found.of(records.environment) if (found := read_routes(project)) else {}
        manifest = records.manifest(run_id) if routes else None
        if manifest is None:
            return []
        contracts = contracts_of(project)
        # a run that finds nothing new needs no lineage, and dbt's manifest is large
        lineage = cache(lambda: lineage_of(records, run_id, contracts))
        unnamed = any(node.table is None and node.status.failed for node in manifest.nodes)
        observation = of_run(manifest, lineage().tables if unnamed else {})
        if observation is None:
            return []
        _, failures = notify(
            records, routes, observation, lambda cause: lineage().affected(cause.table), datetime.now(UTC)
        )
    except SlipwayError as error:
        return [f"alerts: {error.line()}"]
    except Exception as error:  # noqa: BLE001 - the run is over: whatever is wrong here must not hide how it ended
        return [
            f"alerts: nobody was notified, because of {type(error).__name__}: {hide(one_line(str(error)))}"
        ]
    return [f"alerts: {error.line()}" for error in failures]


def open_causes(project_dir: Path | None, target: str | None) -> list[Entry]:
    """Causes that are open, or whose end has not been reported to every route yet.

    Raises:
        DamagedError: the state cannot be read.
    """
    environment = Profile(find_project(project_dir)).environment(target)
    return AlertState(Records(environment).store).read().entries


def send_test(
    project_dir: Path | None, target: str | None, route: str | None
) -> list[tuple[str, SlipwayError | None]]:
    """Send a test to one route, or to all of an environment.

    Returns:
        The name of each route, and why it did not deliver.

    Raises:
        NotFoundError: there is no alerts.yml, or no such route.
    """
    project = find_project(project_dir)
    environment: Environment = Profile(project).environment(target)
    found = read_routes(project)
    if found is None:
        raise NotFoundError(f"There is no {FILE}", f"{project} has none", "Write it: docs/how-to/alerts.md")
    if route is not None and route not in found.routes:
        known = ", ".join(found.routes) or "none"
        raise NotFoundError(f"There is no route {route}", f"{FILE} has {known}", "Name one of them")
    chosen = {route: found.routes[route]} if route else found.of(environment)
    if not chosen:
        raise NotFoundError(
            f"{FILE} has no route for {environment.name}",
            "routes without targets are for environments whose mode is not exploratory",
            "Name a route, or write targets",
        )
    answers: list[tuple[str, SlipwayError | None]] = []
    for name, one in chosen.items():
        try:
            deliver_test(name, one, environment.name)
            answers.append((name, None))
        except SlipwayError as error:
            answers.append((name, error))
    return answers
