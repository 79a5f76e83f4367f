"""dbt is invoked only from here, in this process, one invocation at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from slipway.dbt.command import Invocation, invocation_id
from slipway.dbt.dropped import dropped, forget_parse
from slipway.dbt.missing_targets import MissingTarget, collecting
from slipway.environments.profiles import Profile
from slipway.errors import ConfigError, SlipwayError
from slipway.processes import queries_end
from slipway.runs.run_request import RunRequest
from slipway.secrets import known

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

    from slipway.dbt.session import Session
    from slipway.dbt.stubs import Stubs


# dbt's first line of an error: its kind, and where it happened
_HEADING = re.compile(r"\A\s*(?:\w+ )+Error(?: in [^\n]*)?\n")


@dataclass
class _Current:
    """What the caller of dbt, the plugin and compiled Python models pass to each other.

    The one place for that. dbt makes the plugin itself, with nothing but what profiles.yml says, passes errors on only as
    text, and runs the code of Python models without a handle on the plugin: there is no way for a parameter.

    Args:
        request: what the run is for, from the caller; None for dbt commands that slipway did not start.
        session: of the invocation, from the plugin.
        refusal: the first error of slipway's own, from the plugin.
        write_python: writes what a Python model returned, from the plugin: the model's call, its frame, and a connection.
        run_on_spark: runs the function of a Python model of Spark, from the plugin: the model's call, its function, and what makes dbt's object.
        stubs: tables without rows in place of the published ones, from a caller that looks only at code.
    """

    request: RunRequest | None = None
    session: Session | None = None
    refusal: SlipwayError | None = None
    write_python: Callable[[str, Any, Any], None] | None = None
    run_on_spark: Callable[[str, Callable[[Any, Any], Any], Callable[[Any], Any]], Any] | None = None
    stubs: Stubs | None = None


current = _Current()


def invoke(
    arguments: Sequence[str],
    project: Path,
    request: RunRequest | None,
    on_event: Callable[[Any], None] | None = None,
    *,
    despite_tests: bool = False,
) -> Invocation:
    """Run one dbt command quietly.

    Args:
        arguments: the command and its options, without those for project and profile.
        project: folder of dbt_project.yml.
        request: what the run is for; None for commands that build nothing.
        on_event: gets every dbt event.
        despite_tests: build also what comes after tests that fail.
    """
    from dbt.cli.main import dbtRunner

    full = _quietly(arguments, project)
    current.request, current.session, current.refusal = request, None, None
    try:
        with queries_end(_cancel_jobs) as interrupted, _despite_tests(wanted=despite_tests):
            done = dbtRunner(callbacks=[on_event] if on_event else []).invoke(full)
    finally:
        current.request = None
    results = list(getattr(done.result, "results", None) or [])
    return Invocation(
        success=bool(done.success),
        results=results,
        manifest=getattr(session(), "manifest", None),
        error=_one_line(done.exception),
        invocation_id=invocation_id(),
        interrupted=interrupted.is_set() or isinstance(done.exception, KeyboardInterrupt),
        refusal=current.refusal,
        execution=done.result if results else None,
        reasons=getattr(on_event, "reasons", {}),
        used=getattr(on_event, "used", None),
    )


def _cancel_jobs() -> None:
    """End what Spark computes for the run."""
    if running := session():
        running.spark.cancel()


@contextmanager
def _despite_tests(*, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    from slipway.dbt.build_task import whatever_tests_say

    with whatever_tests_say():
        yield


def parse(project: Path, target: str) -> Manifest | None:
    """dbt's manifest of a project as it is now; None if dbt cannot parse it, which the command that follows will tell."""
    from dbt.cli.main import dbtRunner

    done = dbtRunner().invoke(_quietly(["parse", "--target", target], project))
    return cast("Manifest | None", done.result)


def parsed(project: Path, target: str | None, *, missing: list[MissingTarget] | None = None) -> Manifest:
    """The same of any target, the profile's by default.

    Args:
        project: folder of dbt_project.yml.
        target: the dbt target; the profile's by default.
        missing: gets references to nothing; without it, they are an error.

    Raises:
        ConfigError: dbt cannot parse the project; the message is dbt's, with its lines.
    """
    from dbt.cli.main import dbtRunner
    from dbt.exceptions import TargetNotFoundError

    arguments = ["parse", *(["--target", target] if target else [])]
    done = dbtRunner().invoke(_quietly(arguments, project))
    if missing is not None and isinstance(done.exception, TargetNotFoundError):
        with collecting() as found:
            done = dbtRunner().invoke(_quietly([*arguments, "--no-write-json"], project))
        missing += found
    elif missing is not None and done.result and any(not one.name for one in dropped(done.result)):
        forget_parse(project)
        done = dbtRunner().invoke(_quietly(arguments, project))
    if done.result is None:
        raise ConfigError(str(getattr(done.exception, "msg", None) or done.exception))
    return cast("Manifest", done.result)


def _quietly(arguments: Sequence[str], project: Path) -> list[str]:
    # dbt's static parser reads strings of config() in another way than Jinja, and notes other macros: runs are compared by what Jinja made
    quiet = ["--log-level", "none", "--log-level-file", "debug", "--no-use-colors", "--no-static-parser"]
    profiles = os.environ.get("DBT_PROFILES_DIR") or str(project)
    return [
        *quiet,
        *_as_by_default(arguments, project),
        "--project-dir",
        str(project),
        "--profiles-dir",
        profiles,
    ]


def _as_by_default(arguments: Sequence[str], project: Path) -> list[str]:
    """Arguments that do not name the target which dbt takes by itself.

    dbt keeps what it has parsed with the target as it was given, so one command that names the default and one that does not would each parse everything again.
    """
    found = list(arguments)
    if "--target" in found:
        at = found.index("--target")
        with suppress(SlipwayError):  # dbt has a message of its own for a profile that it cannot read
            if Profile(project).is_default(found[at + 1]):
                del found[at : at + 2]
    return found


def session() -> Session | None:
    """The session of the last invocation, None when dbt did not come to open its database."""
    return current.session


def _one_line(error: BaseException | None) -> str:
    if error is None:
        return ""
    text = str(getattr(error, "msg", None) or error)
    return " ".join(_HEADING.sub("", text).split())


def mask_secrets() -> None:
    """Have dbt mask what slipway does in its messages and log file, as it does the values of ``DBT_ENV_SECRET…``."""
    from dbt_common.context import get_invocation_context

    get_invocation_context().env_secrets.extend(known())
