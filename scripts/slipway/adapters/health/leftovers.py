"""Temporary files and folders of processes that are gone."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slipway.adapters import git, spill
from slipway.adapters.health.examination import Examination
from slipway.adapters.maintenance.survey import find_orphans
from slipway.adapters.objects import UNFINISHED
from slipway.adapters.processes import PREFIX, is_alive
from slipway.adapters.profile import Profile
from slipway.domain.health import Finding, PruneWorktrees, Remove
from slipway.domain.maintenance.steps import OLDER_THAN

_OWNED = re.compile(rf"{PREFIX}(?P<purpose>\w+)-(?P<pid>\d+)-\w+")
_STILL_WRITTEN = timedelta(hours=1)


def spilled(at: Examination) -> Iterator[Finding]:
    """What DuckDB spilled for a process that was killed."""
    for path in spill.left_over(spill.parent_of(at.environment.home)):
        yield _left(path, "what a killed process spilled")


def comparisons(at: Examination) -> Iterator[Finding]:
    """Folders of a canary, a replay or slim CI that was killed, and git's knowledge of work trees in them."""
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        owner = _OWNED.fullmatch(path.name)
        if not owner or is_alive(int(owner["pid"])):
            continue
        with suppress(FileNotFoundError):
            if path.stat().st_uid != os.getuid():
                continue
            yield _left(path, f"the builds of a {owner['purpose']} that was killed")
    gone = [tree for tree in git.worktrees(at.project) if _is_ours(tree) and not _is_used(tree)]
    for tree in gone:
        yield Finding(
            f"work tree {tree}",
            "git knows it, and its folder is of a process that is gone",
            "run git worktree prune",
            [PruneWorktrees(str(at.project))],
        )


def half_written(at: Examination) -> Iterator[Finding]:
    """Files of records that a process was writing when it was killed; on S3 there are none."""
    root = Path(at.records.store.root.removeprefix("file://"))
    if not root.is_dir():
        return
    for path in sorted(root.rglob(f"{UNFINISHED}*")):
        with suppress(FileNotFoundError):  # it was written meanwhile
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if at.now - written > _STILL_WRITTEN:
                yield _left(path, "a record that a killed process did not come to write")


def orphans(at: Examination) -> Iterator[Finding]:
    """Files of tables that nothing names, by runs that died or whose tables were replaced; looked for when all files are."""
    if not at.deep or not at.locations:
        return
    variables = Profile(at.project).vars
    for found in find_orphans(at.tables, at.records, variables, at.now, OLDER_THAN):
        count, size = len(found.objects), found.size
        what = f"{count} {'file' if count == 1 else 'files'} of {size:,} bytes that nothing names any more"
        yield Finding(found.table, what, "slipway maintain removes them")


def _left(path: Path, what: str) -> Finding:
    return Finding(str(path), what, "delete it", [Remove(str(path))])


def _is_ours(tree: Path) -> bool:
    return any(_OWNED.fullmatch(part) for part in tree.parts)


def _is_used(tree: Path) -> bool:
    owned = [found for part in tree.parts if (found := _OWNED.fullmatch(part))]
    return any(is_alive(int(found["pid"])) for found in owned)
