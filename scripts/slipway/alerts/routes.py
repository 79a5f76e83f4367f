"""Who is notified of what: ``alerts.yml`` at the root of the project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from slipway.alerts.causes import Entry, Event
from slipway.contracts.described_file import parse_described
from slipway.contracts.model import Severity
from slipway.contracts.problems import Problem
from slipway.environments.environment import Environment, Mode
from slipway.errors import ConfigError
from slipway.secrets import remember

FILE = "alerts.yml"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PART = re.compile(r"[^/:@?&=,\s]+")
_SHORTEST_SECRET = 8
_LONGEST_WORD = 12
_GIVEN = "\0"  # in place of a reference, while the rest of an address is looked at
_SECRET_PARAMETER = re.compile(r"pass|pwd|token|secret|\bsig|auth|key|\bcode", re.IGNORECASE)
_KEY_LIKE = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{12,}|[A-Za-z0-9]{20,}")
"""Longer and more mixed than words, numbers and the ids of workspaces and channels, which may stand in an address."""
_Text = Annotated[str, StringConstraints(min_length=1)]


class Route(BaseModel):
    """Where alerts go, and which; a route that leaves out a condition takes all.

    Args:
        url: an address of apprise, in which at least all secrets are references to environment variables, ``${SLACK_WEBHOOK}``.
        urgency: ``page`` for what somebody should see at once, ``ticket`` for what can wait until morning.
        events: the kinds of cause.
        tables: patterns such as ``serving.*``; of the table of the cause, and of those made from it.
        owners: of these tables, or of exposures that read them.
        severity: ``error`` leaves out warnings.
        targets: environments; left out: every one whose mode is not exploratory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: _Text
    urgency: Literal["page", "ticket"] = "ticket"
    events: tuple[Event, ...] = tuple(Event)
    tables: tuple[_Text, ...] = ()
    owners: tuple[_Text, ...] = ()
    severity: Severity = Severity.WARNING
    targets: tuple[_Text, ...] = ()

    def serves(self, environment: Environment) -> bool:
        """Whether it gets messages about an environment."""
        if self.targets:
            return environment.name in self.targets
        return environment.mode is not Mode.EXPLORATORY

    def wants(self, entry: Entry) -> bool:
        """Whether it gets messages about a cause."""
        cause, affected = entry.cause, entry.affected
        tables = [cause.table, *affected.tables]
        owners = {owner.casefold() for owner in affected.owners}
        return (
            cause.event in self.events
            and (self.severity is Severity.WARNING or cause.severity is Severity.ERROR)
            and (not self.tables or any(fnmatchcase(name, one) for name in tables for one in self.tables))
            and (not self.owners or any(owner.casefold() in owners for owner in self.owners))
        )

    def address(self, name: str) -> str:
        """The address with the values of its environment variables, which no text shows from then on.

        Raises:
            ConfigError: a variable is not set.
        """
        for variable in _REFERENCE.findall(self.url):
            if not os.environ.get(variable):
                raise ConfigError(
                    f"Route {name} of {FILE} needs {variable}",
                    "the environment variable is not set",
                    f"Set it: export {variable}=…",
                )
        values = {variable: os.environ[variable] for variable in _REFERENCE.findall(self.url)}
        # services take an address apart, and may name a part of it in what they answer
        parts = [part for value in values.values() for part in _PART.findall(value)]
        remember([*values.values(), *(part for part in parts if _may_be_secret(part))])
        return _REFERENCE.sub(lambda found: values[found[1]], self.url)


def _may_be_secret(part: str) -> bool:
    """Whether a part of an address looks like a key; ordinary words of it, such as `services`, stand in other texts, too."""
    return len(part) >= _SHORTEST_SECRET and not (part.isalpha() and len(part) < _LONGEST_WORD)


class Routes(BaseModel):
    """What alerts.yml says.

    Args:
        routes: by name.
        hold_hours: after how many hours a hold is a cause of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    routes: dict[_Text, Route] = Field(default_factory=dict)
    hold_hours: float = Field(24, ge=0)

    def of(self, environment: Environment) -> dict[str, Route]:
        """The routes that get messages about an environment."""
        return {name: route for name, route in self.routes.items() if route.serves(environment)}


def read_routes(project: Path) -> Routes | None:
    """What alerts.yml says; None where there is none.

    Raises:
        ConfigError: it has a key that nothing reads, a value that is none, or an address with a secret written out.
    """
    path = project / FILE
    if not path.is_file():
        return None
    try:
        return parse_routes(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read", str(error), "Save it as UTF-8") from None


def parse_routes(text: str) -> Routes:
    """The same from its text."""
    return parse_described(text, Routes, FILE, "Write a mapping with routes", _secrets_written_out)


def _secrets_written_out(found: Routes) -> Iterator[Problem]:
    return filter(None, (_secret_written_out(name, route.url) for name, route in found.routes.items()))


def _secret_written_out(name: str, url: str) -> Problem | None:
    path = ("routes", name, "url")
    if not _REFERENCE.search(url):
        return Problem(
            path,
            "is written out, and addresses hold secrets",
            "Put it into an environment variable, and write url: ${NAME_OF_THE_VARIABLE}",
        )
    if not (what := _written_out(url)):
        return None
    return Problem(
        path,
        f"has {what} written out next to a reference",
        "Put the whole address into one environment variable, or this part into one of its own",
    )


def _written_out(url: str) -> str:
    """What of an address with references looks like a secret and is none of them; empty where nothing does.

    The address is divided as RFC 3986, section 3, says; a host name is no secret, and where it has no dots it may be a key.
    """
    rest = _REFERENCE.sub(_GIVEN, url).partition("://")[2] or _REFERENCE.sub(_GIVEN, url)
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    password = user.partition(":")[2]
    if password.strip(_GIVEN):
        return "a password"
    for parameter in filter(None, re.split("[&;]", query)):
        key, _, value = parameter.partition("=")
        if _SECRET_PARAMETER.search(unquote(key)) and value.strip(_GIVEN):
            return f"a value of `{unquote(key)}`"
    others = [user, path, query, *([] if "." in host else [host])]
    if any(_KEY_LIKE.search(part) for other in others for part in unquote(other).split(_GIVEN)):
        return "what looks like a key"
    return ""
