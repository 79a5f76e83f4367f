"""Rows that somebody decided to let through although they break a rule: ``contracts/<feed>.released.yaml``.

The file is code: it is committed, reviewed, and a part of the key of the models that read the feed's contract. A row is named by the content of
its file and by its line, so that no other row is let through when another file of that name lands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from slipway.contracts.contract_files import FOLDER
from slipway.errors import ConfigError
from slipway.secrets import one_line

_HEAD = "# Rows that count as correct although they break a rule. slipway quarantine release writes this file; commit it.\n"


class ReleasedRows(BaseModel):
    """Rows of one file, let through for one rule.

    ``file`` is where it was in the landing area, ``sha256`` its content, ``lines`` as ``_source_line`` has them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field(min_length=1)
    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    lines: tuple[int, ...] = Field(min_length=1)
    reason: str = Field(min_length=1)
    released_by: str
    released_at: AwareDatetime


def path_of(project: Path, feed: str) -> Path:
    """The file of a feed."""
    return project / FOLDER / f"{feed}.released.yaml"


def read_released(project: Path, feed: str) -> list[ReleasedRows]:
    """The rows of a feed that are let through; none where there is no file.

    Raises:
        ConfigError: the file holds something else.
    """
    path = path_of(project, feed)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, str(error)) from None
    try:
        given: Any = yaml.safe_load(text) or []
        if not isinstance(given, list):
            raise _unreadable(path, "it is no list")
        return [ReleasedRows.model_validate(item) for item in given]
    except yaml.YAMLError as error:
        raise _unreadable(path, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise _unreadable(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def write_released(project: Path, feed: str, rows: Iterable[ReleasedRows]) -> Path:
    """Write the file of a feed anew."""
    ordered = sorted(rows, key=lambda one: (one.rule, one.file, one.sha256, one.released_at))
    plain = [
        {
            **one.model_dump(),
            "lines": sorted(one.lines),
            "released_at": one.released_at.astimezone(UTC).isoformat(timespec="seconds"),
        }
        for one in ordered
    ]
    path = path_of(project, feed)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(_HEAD + text, encoding="utf-8")
    return path


def check_released(project: Path, feeds: Mapping[str, Collection[str]]) -> None:
    """Refuse files of released rows that release nothing.

    Args:
        project: the project.
        feeds: ids of the rules of each feed.

    Raises:
        ConfigError: a file is of no feed, names a rule that the feed does not have, or cannot be read.
    """
    for path in sorted((project / FOLDER).glob("*.released.yaml")):
        feed = path.name.removesuffix(".released.yaml")
        if feed not in feeds:
            raise ConfigError(
                f"{FOLDER}/{path.name} is of no feed", f"{FOLDER}/ has no feed {feed}", "Rename or remove it"
            )
        for one in read_released(project, feed):
            if one.rule not in feeds[feed]:
                raise ConfigError(
                    f"{FOLDER}/{path.name} releases rows that break {one.rule}",
                    f"the contract of {feed} has no such rule",
                    "Remove these rows from the file, or correct the rule's name",
                )


def excused(rule: str, released: Sequence[ReleasedRows]) -> str:
    """A condition in SQL for the rows that are let through for a rule; empty where there is none."""
    places = sorted({f"{one.sha256}:{line}" for one in released if one.rule == rule for line in one.lines})
    if not places:
        return ""
    listed = ", ".join(f"'{place}'" for place in places)
    return f"(_file_sha256 || ':' || _source_line) in ({listed})"


def _unreadable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{FOLDER}/{path.name} cannot be read",
        one_line(why),
        "Restore the committed file, or remove the rows from it that are wrong",
    )
