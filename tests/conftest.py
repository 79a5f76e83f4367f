"""A small dbt project of its own for a test that lands files, runs commands and changes the code.

Commands are processes forked from one that has imported dbt (harness/command_server.py). What they published is read
only by pyiceberg and SQLite.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dbt_common.tests import enable_test_caching
from hypothesis import HealthCheck, settings
from tests.harness.command_server import read_services_once, verify_extensions_once
from tests.harness.commands import ROOT, Commands
from tests.harness.projects import Workshop, copy_of, keep, parsed, put_back
from tests.harness.same_sooner import shorten_pyiceberg

# The same examples every time, and no test that fails because the machine is busy.
settings.register_profile(
    "slipway", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("slipway")

# A runner that was started in the background ignores Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
_SETTINGS = "_hypothesis_internal_use_settings"  # where Hypothesis keeps what a test was decorated with
DAY_1 = ("p1,N,2024-05-01,1.5", "p2,S,2024-05-01,2", "p3,S,2024-05-01,heavy")
DAY_2 = ("p4,N,2024-05-02,0.25", "p5,N,2024-05-02,4")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Draw a quarter of the examples in the ordinary suite: its time is spent on processors, and the long suite draws all of them."""
    if "not long" not in config.getoption("markexpr"):
        return
    tests = {item.obj for item in items if isinstance(item, pytest.Function) and hasattr(item.obj, _SETTINGS)}
    for test in tests:
        given = getattr(test, _SETTINGS)
        setattr(test, _SETTINGS, settings(given, max_examples=max(given.max_examples // 4, 5)))


def pytest_collection_finish() -> None:
    """Have the collector of garbage not go through all modules and tests again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def some(every: int, cases: Iterable[Any]) -> list[Any]:
    """Cases of a test, of which the ordinary suite takes every nth from the first on; the long suite takes all of them."""

    def long(case: Any) -> Any:  # noqa: ANN401 - whatever the test takes
        given = case if isinstance(case, type(pytest.param())) else pytest.param(case)
        return pytest.param(*given.values, marks=[*given.marks, pytest.mark.long], id=given.id)

    return [case if at % every == 0 else long(case) for at, case in enumerate(cases)]


@pytest.fixture(scope="session", autouse=True)
def waits_once() -> None:
    """Tests that open databases or parse projects in this process need not wait for the same again either."""
    verify_extensions_once()
    read_services_once()
    shorten_pyiceberg()
    enable_test_caching()


@pytest.fixture(scope="session", autouse=True)
def has_no_key_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keys that are generated in this process are not left in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """What starts commands: the workers of a test run share the process that they are forked from."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    return Commands(
        tmp_path_factory.mktemp("commands"),
        base.parent if is_worker else base,
        os.getppid() if is_worker else os.getpid(),
    )


@pytest.fixture(scope="session")
def new_workshop(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Workshop]:
    """Makes a copy of the project with two days' files landed; one of five rows is not a number."""
    source = parsed(commands, ROOT / "tests" / "cli" / "project", tmp_path_factory.mktemp("parsed"))

    def make(folder: Path) -> Workshop:
        found = Workshop(commands, copy_of(source, folder))
        found.land("day-1.csv", DAY_1)
        found.land("day-2.csv", DAY_2)
        return found

    return make


@pytest.fixture
def workshop(new_workshop: Callable[[Path], Workshop], tmp_path: Path) -> Workshop:
    """A copy of the project of the test's own."""
    return new_workshop(tmp_path)


@pytest.fixture(scope="session")
def first_run(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The same after ``slipway run``, and a copy of all its files."""
    found = new_workshop(tmp_path_factory.mktemp("first") / "run")
    found.run()
    keep(found.folder)
    return found


@pytest.fixture
def built(first_run: Workshop) -> Workshop:
    """The same for a test that may change it."""
    put_back(first_run.folder)
    return replace(first_run, settings={})
