"""The release that a change is compared with: that of the commit at which its branch was cut, not what is published now.

A branch that is a week old is compared with the tables of a week ago. What others released since then is no part of the change, so it is
neither built again nor shown as a difference.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from slipway.code import git
from slipway.counts import plural
from slipway.environments.environment import Environment
from slipway.errors import NotFoundError, SlipwayError
from slipway.iceberg.earlier_states import find_source, find_state
from slipway.names import TableName
from slipway.records.release_records import Release
from slipway.records.store import Records
from slipway.releases.published import tables_to_read

PUBLISHED = "published"
"""The base that is no commit: what the target shows now."""
_AT_ONCE = 16  # metadata files that are read


@dataclass(frozen=True)
class BaseRelease:
    """What a change is compared with.

    Args:
        releases: of the environment in the order in which they were published, up to the one that the change is compared with.
        remarks: sentences about how it was found, where that is not as usual.
        commit: where the branch was cut, or what was named; None where that is not known.
    """

    releases: Sequence[Release]
    remarks: tuple[str, ...] = ()
    commit: str | None = None

    @property
    def release(self) -> Release:
        """The one that the change is compared with."""
        return self.releases[-1]

    @property
    def pins(self) -> dict[str, str]:
        """``layer.table`` to the metadata file that the release shows."""
        return {name: table.metadata_location for name, table in self.release.tables.items()}


def base_release(
    project: Path, environment: Environment, records: Records, base: str | None = None
) -> BaseRelease:
    """The newest release whose code is the base commit, or a commit before it.

    Args:
        project: folder of dbt_project.yml.
        environment: whose releases they are.
        records: of the environment.
        base: a revision of git, ``published`` for what the environment shows now, None for where the branch was cut.

    Raises:
        NotFoundError: the environment has no release, there is no such revision, or maintenance has removed what the release showed.
        DamagedError: a record cannot be read.
        UnavailableError: the environment cannot be read.
    """
    releases = records.releases()
    if not releases:
        raise NotFoundError(
            f"{environment.name} has no release to compare with",
            "slim CI builds what differs from one",
            "Publish one with slipway run, or build everything with slipway ci --full",
        )
    if base == PUBLISHED:
        return BaseRelease(releases)
    try:
        commit, where = (git.resolve(project, base), "") if base else git.default_base(project)
        history = git.history(project, commit)
    except SlipwayError as error:
        if base:
            raise
        return BaseRelease(releases, (_instead(environment, "the merge base is not known", error.line()),))
    name = f"the merge base {commit[:12]}" if not base else f"{commit[:12]}"
    if where and not where.startswith("where this branch left"):
        name = f"{commit[:12]}, {where}"
    number = newest_at(releases, frozenset(history.commits))
    if number is None:
        why = f"no release is known to be of {name}, or of a commit before it"
        return BaseRelease(releases, (_instead(environment, why, _why_unknown(releases, history)),), commit)
    found = BaseRelease(releases[: number + 1], tuple(_remarks(releases, number, history, name)), commit)
    if found.release is not releases[-1]:
        _check_readable(environment, found.release)
    return found


def newest_at(releases: Sequence[Release], commits: Collection[str]) -> int | None:
    """The place of the newest release whose code is one of some commits; of a dirty work tree only where there is no other."""
    known = [number for number, release in enumerate(releases) if release.code.commit in commits]
    clean = [number for number in known if not releases[number].code.dirty]
    return max(clean or known, default=None)


def _instead(environment: Environment, why: str, reason: str) -> str:
    reason = f": {reason.rstrip('.')}" if reason else ""
    return f"Compared with what {environment.name} shows now, because {why}{reason}."


def _why_unknown(releases: Sequence[Release], history: git.History) -> str:
    if history.shallow:
        return (
            f"this clone is shallow and has only {plural(len(history.commits), 'commit')} of its history;"
            " fetch the rest with git fetch --unshallow, in GitHub Actions with fetch-depth: 0"
        )
    without = sum(release.code.commit is None for release in releases)
    if without == len(releases):
        return "no release has the code of a commit"
    return (
        f"the commits of {plural(len(releases) - without, 'release')} are not in its history;"
        " they may be of a fork, of other branches, or from before a rebase"
    )


def _remarks(releases: Sequence[Release], number: int, history: git.History, name: str) -> list[str]:
    release, last = releases[number], releases[-1]
    remarks = []
    behind = history.commits.index(str(release.code.commit))
    if behind:
        remarks.append(
            f"Release {release.number} is of commit {str(release.code.commit)[:12]}, before {name}:"
            " what the commits between them change counts as a difference, too."
        )
    if release.code.dirty:
        remarks.append(f"Release {release.number} was built with uncommitted changes.")
    if release is not last:
        remarks.append(
            f"The target shows release {last.number} by now; what was released since release {release.number} is not looked at."
        )
        unknown = {one.code.commit for one in releases[number + 1 :]} - {None}
        if history.shallow and unknown:
            remarks.append("This clone is shallow, so a later release may be of an earlier commit.")
    return remarks


def _check_readable(environment: Environment, release: Release) -> None:
    """Refuse a release of which maintenance has removed a table's state.

    Raises:
        NotFoundError: it has.
    """
    tables = tables_to_read(environment)
    shown = tables.locations()

    def why_gone(name: str) -> str:
        identifier, goal = TableName.parse(name), release.tables[name].metadata_location
        newest = shown.get(identifier)
        try:
            if newest is None:  # it was retired since
                find_source(tables, identifier, [], goal)
            elif newest != goal:
                find_state(tables, identifier, newest, goal)
        except NotFoundError as error:
            return f"{name}: {error.why}"
        return ""

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        gone = [why for why in pool.map(why_gone, sorted(release.tables)) if why]
    if gone:
        more = f", and so it is for {plural(len(gone) - 1, 'more table')}" if len(gone) > 1 else ""
        raise NotFoundError(
            f"Release {release.number} of {environment.name} cannot be compared with any more",
            f"{gone[0]}{more}",
            f"Merge the base branch into this one, compare with what {environment.name} shows now with --base {PUBLISHED}, or build"
            " everything with --full",
        )
