"""What is published as the base of a canary, and why it cannot be one: a difference has to be one of the code."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.comparison.compare import BuiltTable
from slipway.comparison.consequences import definitions_of
from slipway.counts import plural
from slipway.environments.environment import requested_slice
from slipway.environments.profiles import Profile
from slipway.errors import NotFoundError, SlipwayError, UsageError
from slipway.iceberg.snapshots import current_content
from slipway.records.release_records import Release
from slipway.records.run_manifest import RunManifest
from slipway.releases.lookup import tables_of
from slipway.releases.published import Published
from slipway.releases.table_state import read_state
from slipway.runs.origin import LANDING, UNVERSIONED, load, sources

PUBLISHED = "published"
"""The base that is no commit."""


@dataclass(frozen=True)
class PublishedBase:
    """The published side of a canary.

    Args:
        published: one consistent cut of the environment.
        release: the last one.
        manifest: of the run of that release.
    """

    published: Published
    release: Release
    manifest: RunManifest

    @property
    def label(self) -> str:
        """What the base is called in a report."""
        return f"release {self.release.number} of {self.published.environment.name}"

    @property
    def locations(self) -> dict[str, str]:
        """``layer.table`` to the metadata file of every published table."""
        return {str(name): location for name, location in self.published.locations.items()}

    def tables(self, head: Collection[str], pins: Collection[str], *, whole: bool) -> dict[str, BuiltTable]:
        """The tables to compare with those of head.

        Args:
            head: tables that head built.
            pins: tables that were inputs.
            whole: head built everything, so that published tables which it did not build have no model any more.
        """
        made = {name for name, table in self.release.tables.items() if table.run_id and name not in pins}
        return {
            name: BuiltTable(location)
            for name, location in sorted(self.locations.items())
            if name in made and (whole or name in head)
        }

    def modelled(self) -> set[str]:
        """Tables of the release that a model, seed or snapshot of its code makes."""
        described = self.published.records.dbt_manifest(self.release.run_id) or {"nodes": {}}
        nodes = described["nodes"]
        made = {f"{nodes[unique_id]['schema']}.{nodes[unique_id]['alias']}" for unique_id in tables_of(nodes)}
        return made & self.release.tables.keys()

    def definitions(self, tables: Collection[str]) -> dict[str, str | None]:
        """Tables to the key of the code that made them."""
        return definitions_of(self.published.records, self.release, tables)

    def check(self, tables: Collection[str]) -> None:
        """Refuse tables that were not built from what head reads.

        Raises:
            SlipwayError: it is not recorded what one was built from, or that is not what is published now.
        """
        wrong = [why for name in sorted(tables) if (why := self._other_inputs(name))]
        if wrong:
            more = f"; and so it is for {plural(len(wrong) - 1, 'more table')}" if len(wrong) > 1 else ""
            raise SlipwayError(
                f"What {self.published.environment.name} shows cannot be the base",
                f"{wrong[0]}{more}",
                "Bring it up to date with slipway run, or name tables that are with --select",
            )

    def _other_inputs(self, name: str) -> str:
        if name not in self.locations:
            return f"the catalog does not have {name} any more"
        table = load(self.published, name)
        if current_content(table) != self.release.tables[name].content:
            return f"{name} is not what release {self.release.number} showed any more"
        if not read_state(table).node_key:
            return f"it is not recorded what {name} was built from"
        for source in sources(self.published, name):
            if (
                source.is_published
                or source.table.startswith(LANDING)
                or source.version.startswith(UNVERSIONED)
            ):
                continue
            return (
                f"{name} was built from {source.table} at snapshot {source.version}, "
                "which is not the published one any more"
            )
        return ""

    def remarks(self, tables: Collection[str]) -> Iterator[str]:
        """What else than the change may be behind a difference, in sentences."""
        for name in sorted(tables):
            state = read_state(load(self.published, name))
            if state.stale or state.kept:
                yield f"{name} as published has rows of earlier code, and head built all of its rows ({state.stale or state.kept})"
            for source in sources(self.published, name):
                if source.table == name:
                    outside = [
                        other for other, version in source.inputs.items() if version.startswith(UNVERSIONED)
                    ]
                    if outside:
                        yield f"{name} reads {', '.join(sorted(outside))}, of which no snapshot says what it was then"


def published_base(profile: Profile, target: str | None, variables: Mapping[str, Any]) -> PublishedBase:
    """What is published in a target, for a canary with these variables.

    Args:
        profile: of the project.
        target: the environment.
        variables: of the command line.

    Raises:
        UsageError: a slice is asked for.
        NotFoundError: nothing was ever released.
        SlipwayError: it was built with other variables, or its run is not recorded.
    """
    if requested_slice(variables, {**profile.vars, **variables}) is not None:
        raise UsageError(
            "A slice cannot be compared with what is published",
            "published tables hold all of the input",
            "Leave out the slice, or name a commit with --base",
        )
    published, release = _one_cut(profile, target)
    name = published.environment.name
    if release is None:
        raise NotFoundError(
            f"{name} has no release to compare with",
            "nothing was ever published there",
            f"Publish one with slipway run --target {name}, or name a commit with --base",
        )
    manifest = published.records.manifest(release.run_id)
    if manifest is None and (came := published.records.promoted_manifest(release.run_id)):
        manifest = came[0]
    if manifest is None:
        raise SlipwayError(
            f"What {name} shows cannot be the base",
            f"it is not recorded with which variables run {release.run_id} built it",
            "Publish a release with slipway run, or name a commit with --base",
        )
    if dict(manifest.vars) != dict(variables):
        raise SlipwayError(
            f"What {name} shows cannot be the base",
            f"run {manifest.run_id} built it with {_given(manifest.vars)}, and this canary has {_given(variables)}",
            "Give the same --vars, or name a commit with --base",
        )
    return PublishedBase(published, release, manifest)


_LOOKS = 5


def _one_cut(profile: Profile, target: str | None) -> tuple[Published, Release | None]:
    """What is published and the release that did it; looked at again when another one was published meanwhile."""
    environment = profile.environment(target)
    published, release = Published(environment), None
    for _ in range(_LOOKS):
        published = Published(environment)
        release = published.records.last_release()
        if release is None:
            break
        _ = published.locations
        if published.records.last_release() == release:
            break
    return published, release


def _given(variables: Mapping[str, Any]) -> str:
    return f"--vars '{json.dumps(variables, default=str, sort_keys=True)}'" if variables else "no --vars"
