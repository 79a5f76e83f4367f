"""Copies of landed files in a form that DuckDB reads: UTF-8, not compressed, one kind of line end.

They are kept as long as the process that made them, in a folder of its own, and are never evidence of anything. Those of a process that was killed
are removed when the same user lands files in the environment again.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from slipway.processes import OwnFolder
from slipway.storage.objects import writing_below

PURPOSE = "landing"
"""What the names of the folders say."""


class Copies:
    """A folder of copies, each known by the checksum of the file that it was made of.

    Args:
        parent: where the folder is made; None for the system's place for temporary files.
        home: of the environment that lands the files; None if there is none.
    """

    def __init__(self, parent: Path | None = None, home: Path | None = None) -> None:
        self._parent, self._home = parent, home
        self._made: dict[str, Path] = {}

    @cached_property
    def folder(self) -> Path:
        """The folder, made when it is needed, and removed with this object or at the end of the process."""
        with writing_below(str(self._parent or tempfile.gettempdir())):
            if self._parent:
                self._parent.mkdir(parents=True, exist_ok=True)
            self._own = OwnFolder(PURPOSE, self._home, self._parent)
        return self._own.path

    def new(self) -> Copy:
        """A copy to write."""
        return Copy(self.folder / uuid.uuid4().hex)

    def keep(self, sha256: str, copy: Copy) -> None:
        """Remember a copy that is whole."""
        self.forget(sha256)
        self._made[sha256] = copy.path

    def of(self, sha256: str) -> Path | None:
        """The copy of a content."""
        return self._made.get(sha256)

    def forget(self, sha256: str) -> None:
        """Remove the copy of a content, if there is one."""
        if path := self._made.pop(sha256, None):
            path.unlink(missing_ok=True)


class Copy:
    """One copy while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def write(self, text: bytes) -> None:
        """Add to it.

        Raises:
            UnavailableError: there is no room.
        """
        with writing_below(str(self.path.parent)):
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(text)

    @contextmanager
    def written(self) -> Iterator[Copy]:
        """Close it at the end; where something goes wrong it is removed."""
        try:
            self.write(b"")
            yield self
        except BaseException:
            self.close()
            self.path.unlink(missing_ok=True)
            raise
        self.close()

    def close(self) -> None:
        """Have all of it on disk, as far as readers on this machine are concerned."""
        if self._file is not None:
            with writing_below(str(self.path.parent)):
                self._file.close()
