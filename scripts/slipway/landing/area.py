"""What is in a landing area: a folder that producers write to, where nothing but plain files is ever opened.

A link could lead to a password file, a device that never ends, or the environment of this process, and a pipe would be
waited for. So links are followed only to files of the landing area itself, and only regular files are opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

from slipway.errors import ConfigError, NotFoundError
from slipway.storage.objects import ObjectInfo, S3Store, object_store, unlisted
from slipway.storage.s3 import is_s3

_OUTSIDE = "is a link that leads out of the landing area; links are followed only to files in it"
_FOLDER = "is a link to a folder, which is not followed: land the files themselves"
_DANGLING = "is a link that leads nowhere"
_SPECIAL = "is no regular file but a pipe, a socket or a device, and is not opened"


@dataclass(frozen=True)
class Arrival:
    """Something in a feed's folder, and why it is not opened; empty where it is a file like any."""

    info: ObjectInfo
    obstacle: str = ""


def landing_area(root: str, properties: Mapping[str, str]) -> LandingArea:
    """The landing area at a root: a path, ``file://…`` or ``s3://bucket/prefix``.

    Raises:
        ConfigError: another kind of address.
    """
    if is_s3(root):
        return _Prefix(root, properties)
    object_store(root, properties)  # refuses other kinds of address
    return _Folder(root)


def listing_digest(arrivals: Mapping[str, Sequence[Arrival]], others: Sequence[str]) -> str:
    """A digest of what is in a landing area, by names, sizes and tags."""
    found = [
        [feed, [[one.info.key, one.info.size, one.info.etag, one.obstacle] for one in arrived]]
        for feed, arrived in sorted(arrivals.items())
    ]
    return hashlib.sha256(json.dumps([found, sorted(others)]).encode()).hexdigest()


def nothing_to_land(root: str, feed: str) -> str:
    """What is said of a feed in whose folder there is nothing."""
    return f"landed {feed}: no file in {root}/{feed}"


class _Folder:
    """A landing area that is a folder; it may itself be a link, because whoever runs slipway named it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = Path(root.removeprefix("file://"))

    def check(self) -> None:
        """Refuse a landing area that is not there, or is no folder."""
        if not self._folder.exists():
            raise NotFoundError(
                f"The landing area {self._folder} does not exist",
                "SLIPWAY_LANDING, or landing in profiles.yml, names it",
                f"Correct the setting, or make the folder: mkdir -p '{self._folder}'",
            )
        if not self._folder.is_dir():
            raise ConfigError(
                f"The landing area {self._folder} is not a folder",
                "it has one folder for each feed",
                "Correct SLIPWAY_LANDING",
            )

    def arrivals(self, feed: str) -> list[Arrival]:
        """Everything in a feed's folder, sorted by key, without what is hidden.

        Raises:
            UnavailableError: a folder cannot be listed; what it holds would seem not to be there.
        """
        base = self._folder / feed
        if not os.path.lexists(base):
            return []
        if base.is_symlink():
            info = ObjectInfo.of_file(base, self._folder, base.lstat())
            return [Arrival(info, self._obstacle(base) or _FOLDER)]
        return sorted(self._below(base, feed), key=lambda found: found.info.key)

    def among(self, feed: str, keys: Collection[str]) -> list[Arrival]:
        """Those of some keys that are in a feed's folder, sorted."""
        return [arrival for arrival in self.arrivals(feed) if arrival.info.key in keys]

    def others(self) -> list[str]:
        """Names of files and folders at the top, folders with a slash at the end, without what is hidden."""
        return sorted(
            f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
            for entry in os.scandir(self._folder)
            if not is_hidden(entry.name)
        )

    @contextmanager
    def open(self, key: str) -> Iterator[Any]:
        """A binary stream of a file; raises OSError."""
        path = f"{self._folder}/{key}"
        if not S_ISREG(os.lstat(path).st_mode):
            if obstacle := self._obstacle(Path(path)):
                raise OSError(obstacle)
            path = os.path.realpath(path)
        # what is put into its place meanwhile is neither followed nor waited for
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not S_ISREG(os.fstat(handle).st_mode):
                raise OSError(_SPECIAL)
            yield stream

    def _below(self, folder: Path | str, key: str) -> Iterator[Arrival]:
        """What is in a folder, whose own key is given."""
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            unlisted(error)
            return
        for entry in entries:
            if is_hidden(entry.name):
                continue
            below = f"{key}/{entry.name}"
            with suppress(FileNotFoundError):  # gone meanwhile
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(entry.path, below)
                    continue
                stat = entry.stat(follow_symlinks=False)
                obstacle = "" if S_ISREG(stat.st_mode) else self._obstacle(Path(entry.path))
                if S_ISLNK(stat.st_mode) and not obstacle:
                    stat = entry.stat()
                yield Arrival(ObjectInfo.of_key(below, stat), obstacle)

    def _obstacle(self, path: Path) -> str:
        """Why a path is not opened, empty where it leads to a regular file of this landing area."""
        mode = path.lstat().st_mode
        if S_ISLNK(mode):
            real = os.path.realpath(path)
            if os.path.commonpath([real, os.path.realpath(self._folder)]) != os.path.realpath(self._folder):
                return _OUTSIDE
            try:
                mode = Path(real).stat().st_mode
            except OSError as error:
                return f"{_DANGLING}: {error.strerror}"
            if S_ISDIR(mode):
                return _FOLDER
        return "" if S_ISREG(mode) else _SPECIAL


class _Prefix(S3Store):
    """A landing area in S3, where there are only objects."""

    def check(self) -> None:
        """Nothing: a prefix without objects cannot be distinguished from one that is misspelt."""

    def arrivals(self, feed: str) -> list[Arrival]:
        return [Arrival(info) for info in self.entries(feed) if not _is_below_hidden(info.key)]

    def among(self, feed: str, keys: Collection[str]) -> list[Arrival]:
        """Those of some keys that are there, sorted; each is asked for, and nothing is listed."""
        wanted = sorted(key for key in keys if key.startswith(f"{feed}/") and not _is_below_hidden(key))
        return [Arrival(info) for key in wanted if not key.endswith("/") and (info := self.info(key))]

    def others(self) -> list[str]:
        found: list[str] = []
        for page in self._pages("", Delimiter="/"):
            found += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
            found += [item["Key"] for item in page.get("Contents", []) if not item["Key"].endswith("/")]
        names = [name.removeprefix(self._prefix) for name in found]
        return sorted(name for name in names if not is_hidden(name))


LandingArea = _Folder | _Prefix
"""Where producers put files, one folder a feed."""


def _is_below_hidden(key: str) -> bool:
    return any(is_hidden(part) for part in key.split("/")[1:])


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not meant to be looked at (yet)."""
    return name.startswith((".", "_"))
