"""The sample that a canary builds from: how it is asked for, that it is the same on both sides, and what the report says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from slipway.counts import plural, size
from slipway.environments.environment import Environment
from slipway.environments.sample_shares import SAMPLE, is_own_dimension, requested_sample, share_of
from slipway.errors import SlipwayError, UsageError
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.run_manifest import RunManifest, Sample, SampledInput
from slipway.releases.publication import figures

_Keys = frozenset[tuple[str, ...]]


def with_sample(given: Mapping[str, Any], declared: Mapping[str, Any], sample: str | None) -> dict[str, Any]:
    """Variables for both sides, with the sample as a dimension of their slice.

    Args:
        given: variables of the command line.
        declared: those of dbt_project.yml.
        sample: the share, as it was typed; None for none.

    Raises:
        UsageError: it is no share, the slice asks for another one, or the project has a dimension with the name of samples.
    """
    variables = {**declared, **given}
    if sample is None:
        requested_sample(variables)
        return dict(given)
    share, asked = share_of(sample), variables.get("slice") or {}
    if is_own_dimension(variables):
        raise UsageError(
            "--sample cannot be used in this project",
            f"its slice_dimensions declare a dimension {SAMPLE} of their own",
            "Give that dimension another name",
        )
    if not isinstance(asked, Mapping) or share_of(asked.get(SAMPLE, share)) != share:
        raise UsageError(
            f"--sample {sample} does not go with the slice {json.dumps(asked, default=str)}",
            "the slice is no mapping of dimensions, or has another share of its own",
            "Leave one of them out",
        )
    return {**given, "slice": {**asked, SAMPLE: share}}


def same_sample(base: RunManifest | None, head: RunManifest | None) -> Sample | None:
    """The sample that both sides took; that of the one side where there is only one, None without a sample.

    Raises:
        SlipwayError: they took rows of an input by other keys, so that their differences would say nothing about the code.
    """
    then, now = (side.sample if side else None for side in (base, head))
    if base is None or head is None or (then is None and now is None):
        return now or then
    if then is None or now is None:
        side = "base" if then is None else "head"
        raise SlipwayError(
            "The two samples cannot be compared",
            f"{side} took none: in its project the slice has another meaning",
            "Name another base, or leave --sample out",
        )
    before, after = _by_model(then), _by_model(now)
    for table in sorted(before.keys() & after.keys()):
        one, other = before[table], after[table]
        both = one.keys() & other.keys()
        apart: tuple[_Keys, _Keys] = (
            frozenset(one[model] for model in one.keys() - both),
            frozenset(other[model] for model in other.keys() - both),
        )
        pairs = [(frozenset({one[model]}), frozenset({other[model]})) for model in sorted(both)]
        for ours, theirs in [*pairs, *([apart] if all(apart) else [])]:
            if ours != theirs:
                raise SlipwayError(
                    "The two samples cannot be compared",
                    f"{table} is taken {_words(ours)} in base and {_words(theirs)} in head",
                    "Commit the sample_key first, and name a base that has the same; or leave --sample out",
                )
    return now


def sample_remarks(sample: Sample, built: RunManifest, environment: Environment) -> Iterator[str]:
    """What a report says of a sample: by which keys it was taken, of what it was not, and what had to be read."""
    sampled = [one for one in sample.inputs if one.key]
    whole = [one for one in sample.inputs if not one.key]
    for one in sampled:
        key = ", ".join(one.key)
        yield (
            f"Of {one.table} rows were taken whose {key} is in {sample.share} of all keys, and those whose {key} is NULL"
            f" (sample_key of {', '.join(one.models)})."
        )
    if whole:
        yield f"Taken whole, without a sample_key: {', '.join(_whole(one, sampled) for one in whole)}."
    if read := [_read(name, built, environment) for name in sorted({one.table for one in sampled})]:
        yield f"Read whole, because a hash of a key leaves out no data file: {', '.join(read)}."


def _whole(one: SampledInput, sampled: list[SampledInput]) -> str:
    """An input that is taken whole; with the models where others take a sample of it."""
    also = any(other.table == one.table for other in sampled)
    return f"{one.table} in {' and '.join(one.models)}" if also else one.table


def _read(name: str, built: RunManifest, environment: Environment) -> str:
    """An input with what of it was read."""
    location = next((one.metadata_location for one in built.inputs if one.table.endswith(f".{name}")), None)
    if location is None:
        return name
    known = figures(Tables(environment).load(TableName.parse(name), location))
    rows, files, total = (known[figure] or 0 for figure in ("rows", "files", "bytes"))
    return f"{name} ({plural(rows, 'row')}, {size(total)} in {plural(files, 'data file')})"


def _by_model(sample: Sample) -> dict[str, dict[str, tuple[str, ...]]]:
    """Input to model to key."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for one in sample.inputs:
        found.setdefault(one.table, {}).update(dict.fromkeys(one.models, tuple(one.key)))
    return found


def _words(keys: _Keys) -> str:
    return " and ".join(sorted(f"by {', '.join(key)}" if key else "whole" for key in keys))
