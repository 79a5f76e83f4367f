"""What commits declare of the files of a feed: whether a newer one takes the place of earlier ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from slipway.code.git import files_at
from slipway.contracts.contract_files import FOLDER, look_at_contents
from slipway.contracts.model import FileMode
from slipway.errors import ConfigError, NotFoundError, UnavailableError
from slipway.landing.feeds import feeds_of


class DeclaredModes:
    """The contracts of a project at commits, each read once.

    Args:
        project: folder of dbt_project.yml; None where there is none.
    """

    def __init__(self, project: Path | None) -> None:
        self._project = project
        self._known: dict[str, Mapping[str, FileMode]] = {}

    def of(self, feeds: Sequence[str], commits: Collection[str | None]) -> Collection[FileMode]:
        """The modes of feeds at commits; empty where one of them is not known.

        Args:
            feeds: their names.
            commits: as git names them, None for one that is not known.
        """
        found = [self._at(commit).get(feed) if commit else None for commit in commits for feed in feeds]
        return {mode for mode in found if mode is not None} if None not in found else set()

    def _at(self, commit: str) -> Mapping[str, FileMode]:
        if commit not in self._known:
            self._known[commit] = self._read(commit)
        return self._known[commit]

    def _read(self, commit: str) -> Mapping[str, FileMode]:
        """Feed to its mode; empty where the contracts of the commit cannot be read today."""
        if self._project is None:
            return {}
        try:
            readings = look_at_contents(files_at(self._project, commit, self._project / FOLDER))
            feeds = feeds_of(one.contract for one in readings if one.contract is not None)
        except (ConfigError, NotFoundError, UnavailableError):
            return {}
        return {feed.name: feed.mode for feed in feeds}
