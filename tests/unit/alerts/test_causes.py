"""Whatever happens in whatever order: one message when a cause begins, one when it is over."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from slipway.alerts.causes import (
    CLAIM_LASTS,
    Affected,
    Cause,
    Entry,
    Event,
    Message,
    Observation,
    State,
    claimed,
    due,
    failures,
    forgotten,
    observe,
    settled,
)
from slipway.contracts.model import Severity

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)
SUBJECTS = ("a", "b", "c")


def cause(subject: str, event: Event = Event.ANOMALY) -> Cause:
    return Cause(event=event, subject=subject, what=f"{subject} is wrong", first="slipway show latest")


def observed(*subjects: str, event: Event = Event.ANOMALY) -> Observation:
    return Observation(causes=[cause(one, event) for one in subjects], events=(event,))


def nobody(_: Cause) -> Affected:
    return Affected()


def everything(_: str, __: Entry) -> bool:
    return True


class Team:
    """Routes that record their messages, and an environment that is checked every hour."""

    def __init__(self, *routes: str) -> None:
        self.state, self.routes, self.now = State(), routes, NOON
        self.messages: dict[tuple[str, str], list[str]] = defaultdict(list)

    def look(self, found: Observation, *, held: bool = False, works: bool = True, but: str = "") -> None:
        self.now += timedelta(hours=1)
        self.state = observe(self.state, found, nobody, self.now)
        messages = due(self.state, everything, self.routes, self.now, held=held)
        self.state = claimed(self.state, messages, self.now)
        for message in messages:
            arrives = works and message.route != but
            if arrives:
                self.note(message)
            self.state = settled(self.state, message, self.now, "" if arrives else "the service is down")

    def note(self, message: Message) -> None:
        for entry in message.entries:
            self.messages[message.route, entry.cause.subject].append(message.kind)


looks = st.lists(
    st.tuples(
        st.sets(st.sampled_from(SUBJECTS)),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "chat", "pager"]),
    ),
    max_size=15,
)


@given(looks)
def test_messages_alternate_and_the_last_one_is_that_it_is_over(
    events: list[tuple[set[str], bool, bool, str]],
) -> None:
    team = Team("chat", "pager")
    for wrong, held, works, but in events:
        team.look(observed(*wrong), held=held, works=works, but=but)
    team.look(observed())
    for kinds in team.messages.values():
        assert kinds == ["alert", "recovery"] * (len(kinds) // 2)
    assert team.state.entries == []


@given(st.lists(st.sets(st.sampled_from(SUBJECTS)), max_size=15))
def test_each_time_that_something_goes_wrong_is_reported_once_and_its_end_once(wrong: list[set[str]]) -> None:
    team = Team("chat")
    for subjects in [*wrong, set()]:
        team.look(observed(*subjects))
    for subject in SUBJECTS:
        states = [False, *(subject in subjects for subjects in wrong)]
        begun = sum(now and not before for before, now in pairwise(states))
        assert team.messages["chat", subject] == ["alert", "recovery"] * begun


def test_a_hold_silences_everything_but_itself() -> None:
    team = Team("chat")
    team.look(observed("a"), held=True)
    team.look(observed("1", event=Event.HOLD), held=True)
    assert dict(team.messages) == {("chat", "1"): ["alert"]}
    team.look(observed("a"))
    assert team.messages["chat", "a"] == ["alert"]


def test_what_begins_and_ends_during_a_hold_is_not_reported() -> None:
    team = Team("chat")
    team.look(observed("a"), held=True)
    team.look(observed(), held=True)
    team.look(observed())
    assert not team.messages


def test_a_message_that_was_not_delivered_is_tried_again_and_is_noted() -> None:
    team = Team("chat")
    team.look(observed("a"), works=False)
    ((entry, route, notice),) = failures(team.state)
    assert (entry.cause.subject, route, notice.attempts, notice.error) == (
        "a",
        "chat",
        1,
        "the service is down",
    )
    team.look(observed("a"))
    assert team.messages["chat", "a"] == ["alert"]
    assert [*failures(team.state)] == []


def test_an_open_cause_says_what_was_found_last_and_is_reported_once() -> None:
    team = Team("chat")
    for rows in (3, 5):
        found = cause("a").model_copy(
            update={"what": f"a has {rows} rows", "first": f"slipway show run-{rows}"}
        )
        team.look(Observation(causes=[found]))
    (entry,) = team.state.entries
    assert (entry.cause.what, entry.cause.first) == ("a has 5 rows", "slipway show run-5")
    assert entry.since == NOON + timedelta(hours=1)
    team.look(observed(), works=False)
    assert [one.cause.what for one in team.state.entries] == ["a has 5 rows"]
    team.look(observed())
    assert team.messages["chat", "a"] == ["alert", "recovery"]


def test_a_cause_that_becomes_an_error_reaches_a_route_for_errors() -> None:
    state = State()
    for severity, routes in ((Severity.WARNING, []), (Severity.ERROR, ["pager"]), (Severity.ERROR, [])):
        found = cause("a").model_copy(update={"severity": severity})
        state = observe(state, Observation(causes=[found]), nobody, NOON)
        messages = due(state, lambda _, entry: entry.cause.severity is Severity.ERROR, ["pager"], NOON)
        assert [message.route for message in messages] == routes
        state = claimed(state, messages, NOON)
        for message in messages:
            state = settled(state, message, NOON, "")


def test_a_look_elsewhere_ends_nothing() -> None:
    team = Team("chat")
    team.look(observed("a"))
    team.look(Observation(events=(Event.FRESHNESS,), keys=("anomaly:b",)))
    assert team.messages["chat", "a"] == ["alert"]
    team.look(Observation(keys=("anomaly:a",)))
    assert team.messages["chat", "a"] == ["alert", "recovery"]


def test_a_claim_keeps_others_from_sending_until_its_process_must_have_died() -> None:
    state = observe(State(), observed("a"), nobody, NOON)
    (message,) = due(state, everything, ["chat"], NOON)
    state = claimed(state, [message], NOON)
    assert due(state, everything, ["chat"], NOON + CLAIM_LASTS / 2) == []
    assert [one.kind for one in due(state, everything, ["chat"], NOON + CLAIM_LASTS)] == ["alert"]


def test_a_cause_that_ends_while_its_alert_is_on_the_way_is_reported_to_be_over_after_it() -> None:
    state = observe(State(), observed("a"), nobody, NOON)
    (message,) = due(state, everything, ["chat"], NOON)
    state = observe(claimed(state, [message], NOON), observed(), nobody, NOON)
    assert due(state, everything, ["chat"], NOON) == []
    state = settled(state, message, NOON, "")
    assert [one.kind for one in due(state, everything, ["chat"], NOON)] == ["recovery"]


def test_causes_of_one_kind_that_begin_together_come_in_one_message() -> None:
    state = observe(State(), observed("a", "b", "c"), nobody, NOON)
    (message,) = due(state, everything, ["chat"], NOON)
    assert len(message.entries) == 3


def test_a_route_that_is_gone_is_waited_for_by_nobody() -> None:
    team = Team("chat")
    team.look(observed("a"))
    state = observe(team.state, observed(), nobody, NOON)
    assert len(state.entries) == 1
    assert forgotten(state, ["mail"]).entries == []


def test_quarantine_grows_when_it_has_more_rows_than_at_the_last_look() -> None:
    def look(landed: int, rows: int) -> Observation:
        return Observation(quarantined={"quarantine.lines": (landed, rows)}, first="slipway show latest")

    state = observe(State(), look(100, 5), nobody, NOON)  # how many there were before is not known
    assert state.entries == []
    state = observe(state, look(200, 8), nobody, NOON)
    (entry,) = state.entries
    assert entry.cause.what == "quarantine.lines has 8 rows, 3 more than before, of 200 that landed"
    state = observe(state, look(200, 8), nobody, NOON)  # nothing landed since: nothing is known
    assert state.open("quarantine_growth:quarantine.lines")
    state = observe(state, look(300, 8), nobody, NOON)
    assert state.open("quarantine_growth:quarantine.lines") is None
