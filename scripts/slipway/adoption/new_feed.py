"""``slipway feed add``: the contract of a feed and its models, written from what samples show; no existing file is overwritten."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.adoption.adopt import PROFILES, PROJECT, Action, Step, described, write
from slipway.adoption.generated import feed_models
from slipway.contracts.contract_files import FOLDER, first_error, look_at_all
from slipway.contracts.model import Contract
from slipway.contracts.typed_rows import KEY, LINEAGE, REASON, RULE
from slipway.contracts.typed_values import type_sql
from slipway.contracts.yaml_text import dumped
from slipway.environments.profiles import ADAPTER
from slipway.errors import UsageError
from slipway.inference.contract_of import contract_of, contract_yaml
from slipway.inference.findings import InferredColumn, InferredFeed
from slipway.inference.infer import infer
from slipway.landing.feeds import feeds_of
from slipway.names import Kind, nearest, shown, why_not
from slipway.sql_text import literal
from slipway.storage.objects import writing_below

_LAYERS = ("raw", "curated", "quarantine")
_LINEAGE_TEXTS: Mapping[str, tuple[str, str]] = {
    "_source_file": ("varchar", "Name of the file."),
    "_source_line": ("bigint", "Line of the file; without title lines the header is line 1."),
    "_file_sha256": ("varchar", "SHA-256 of the file."),
    "_landed_at": ("timestamp with time zone", "When the file was entered in the ledger (UTC)."),
    "_run_id": ("varchar", "The run that brought the row into raw."),
}
_KEEP = "{'keep': 'rows are text as it landed, and producers remove their files'}"


@dataclass(frozen=True)
class NewFeed:
    """What would be written for a feed.

    Args:
        folder: of the project.
        feed: as its samples show it.
        contract: as runs read it.
        steps: a file each.
    """

    folder: Path
    feed: InferredFeed
    contract: Contract
    steps: Sequence[Step]


def plan(folder: Path, name: str, samples: Sequence[Path]) -> NewFeed:
    """Infer a feed, and lay out its contract and its models.

    Args:
        folder: of the project.
        name: of the feed.
        samples: absolute paths.

    Raises:
        UsageError: the project cannot have a feed or a model of this name.
        ConfigError: a contract of the project is wrong already.
        ContractError: the samples cannot be read.
    """
    _check_name(folder, name)
    feed = infer(name, samples)
    contract = contract_of(feed)
    feeds_of([contract])
    texts = {f"{FOLDER}/{name}.odcs.yaml": contract_yaml(feed), **_models(folder, feed, contract)}
    steps = []
    for file, text in texts.items():
        if (folder / file).exists():
            raise UsageError(
                f"{file} is there already",
                "no file is overwritten",
                "Choose another --name, or move the file",
            )
        steps.append(Step(file, Action.WRITTEN, content=text.encode()))
    return NewFeed(folder, feed, contract, steps)


def apply(planned: NewFeed) -> None:
    """Write what was planned."""
    for step in planned.steps:
        assert step.content is not None
        write(planned.folder / step.name, step.content, is_new=True)


def make_folder(planned: NewFeed, landing: str) -> bool:
    """Make the feed's folder in a landing area of this machine; whether it was not there before.

    Raises:
        UnavailableError: it cannot be made.
    """
    if "://" in landing.removeprefix("file://"):
        return False
    folder = Path(landing.removeprefix("file://")) / planned.feed.name
    is_new = not folder.is_dir()
    with writing_below(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    return is_new


def copy_samples(planned: NewFeed, landing: str) -> list[Path]:
    """Copy the samples that landing takes into the feed's folder.

    Args:
        planned: the feed.
        landing: the landing area, a folder.

    Returns:
        The copies.

    Raises:
        UsageError: the landing area is no folder of this machine, or has another file of that name.
    """
    if "://" in landing.removeprefix("file://"):
        raise UsageError(
            f"The samples cannot be copied to {landing}",
            "it is no folder of this machine",
            "Copy them with a program for that store",
        )
    folder = Path(landing.removeprefix("file://")) / planned.feed.name
    targets = [folder / path.name for path in planned.feed.files]
    for path, target in zip(planned.feed.files, targets, strict=True):
        if targets.count(target) > 1 or (target.exists() and target.read_bytes() != path.read_bytes()):
            raise UsageError(
                f"{path} cannot be copied", f"{target} would be another file", "Copy the samples by hand"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, target in zip(planned.feed.files, targets, strict=True):
        if not target.exists():
            hidden = target.with_name(f".{target.name}.unfinished")  # landing passes over hidden files
            shutil.copyfile(path, hidden)
            hidden.rename(target)
    return targets


def _check_name(folder: Path, name: str) -> None:
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or why_not(Kind.FEED, name):
        called = nearest(Kind.FEED, name.lower()).replace("-", "_")
        called = called if called[:1].isalpha() else f"feed_{called}"
        raise UsageError(
            f"A feed cannot be called {shown(name)}",
            "its name is that of a folder, of tables and of models: lower-case letters of ASCII, digits and _, and a letter in front",
            f"Write --name {called}",
        )
    readings = look_at_all(folder)
    first_error(readings)
    contracts = [one.contract for one in readings if one.contract]
    if any(feed.name == name for feed in feeds_of(contracts)) or any(one.id == name for one in contracts):
        raise UsageError(
            f"The feed {name} is there already",
            "a contract describes it",
            "Choose another --name, or edit the contract",
        )
    taken = dict(_nodes(folder))
    for model in (name, f"curated_{name}", f"quarantine_{name}"):
        if model in taken:
            raise UsageError(
                f"A model cannot be called {model}",
                f"{taken[model]} is called so, and dbt finds models by name",
                "Choose another --name",
            )


def _nodes(folder: Path) -> Iterator[tuple[str, str]]:
    """Names of what dbt's ``ref`` finds in a project, with the file of each."""
    project = described(folder, PROJECT)
    for key, default, endings in (
        ("model-paths", "models", (".sql", ".py")),
        ("seed-paths", "seeds", (".csv",)),
        ("snapshot-paths", "snapshots", (".sql",)),
    ):
        for place in project.get(key) or [default]:
            for path in sorted((folder / place).rglob("*")):
                if path.suffix in endings and path.is_file():
                    yield path.stem, path.relative_to(folder).as_posix()


def _models(folder: Path, feed: InferredFeed, contract: Contract) -> dict[str, str]:
    """Models and their YAML, by file."""
    project = described(folder, PROJECT)
    root = (project.get("model-paths") or ["models"])[0]
    curated = f"{root}/curated/{feed.name}"
    by_name = _is_quarantined_by_name(feed)
    where = {"raw": ("raw",), "curated": ("curated", feed.name), "quarantine": ("curated", feed.name)}
    config = {layer: _config(folder, project, places, layer, feed) for layer, places in where.items()}
    sql = feed_models(
        {
            "feed": feed.name,
            **{f"{layer}_config": lines for layer, lines in config.items()},
            "columns": [column.name for column in feed.columns],
            "originals": [f"_original[{literal(one.header)}] as {one.name}" for one in feed.columns]
            if by_name
            else [],
        }
    )
    return {
        f"{root}/raw/{feed.name}.sql": sql["raw"].decode(),
        f"{root}/raw/_raw__{feed.name}.yml": dumped(_raw_yaml(feed)),
        f"{curated}/curated_{feed.name}.sql": sql["curated"].decode(),
        f"{curated}/quarantine_{feed.name}.sql": sql["quarantine"].decode(),
        f"{curated}/_curated__{feed.name}.yml": dumped(_curated_yaml(feed, contract)),
    }


def _config(
    folder: Path, project: Mapping[str, Any], places: Sequence[str], layer: str, feed: InferredFeed
) -> list[str]:
    """Arguments of ``config``: what the folder of the model does not say already."""
    given = _configured(project, places)
    lines = [] if given.get("schema") == layer else [f"schema='{layer}'"]
    if layer == "raw":
        lines += [
            "materialized='incremental'",
            "incremental_strategy='append'",
            "full_refresh=false",
            "on_schema_change='append_new_columns'",
            f"on_code_change={_KEEP}",
            "partitioned_by=['day(_landed_at)']",
            "sorted_by=['_source_file', '_source_line']",
        ]
    else:
        lines.append(f"alias='{feed.name}'")
        lines += [] if given.get("materialized") == "table" else ["materialized='table'"]
    if layer == "quarantine":
        lines.append(f"conserves={{'raw': 'raw.{feed.name}', 'curated': 'curated.{feed.name}'}}")
    if _has_other_adapters(folder, project):
        lines.append(f"enabled=target.type == '{ADAPTER}'")
    return lines


def _configured(project: Mapping[str, Any], places: Sequence[str]) -> dict[str, Any]:
    """What dbt_project.yml says of a folder of models, by key without dbt's plus sign."""
    part = project.get("models") or {}
    found: dict[str, Any] = {}
    for place in (None, str(project.get("name")), *places):
        part = part if place is None else part.get(place)
        if not isinstance(part, Mapping):
            break
        found |= {
            key.removeprefix("+"): value
            for key, value in part.items()
            if key.startswith("+") or not isinstance(value, Mapping)
        }
    return found


def _has_other_adapters(folder: Path, project: Mapping[str, Any]) -> bool:
    """Whether dbt builds the project with other adapters, too, which have no landing area."""
    profile = described(folder, PROFILES).get(str(project.get("profile"))) or {}
    outputs = profile.get("outputs") or {} if isinstance(profile, Mapping) else {}
    return any((output or {}).get("type") != ADAPTER for output in outputs.values())


def _raw_yaml(feed: InferredFeed) -> dict[str, Any]:
    lines = f"{feed.name} files, as text, as `{FOLDER}/{feed.name}.odcs.yaml` describes them"
    return {
        "sources": [
            {
                "name": "landing",
                "schema": "landing",
                "tables": [
                    {
                        "name": feed.name,
                        "description": f"Records of accepted {lines}. One row per record of a file.",
                    }
                ],
            }
        ],
        "models": [
            {
                "name": feed.name,
                "description": f"Every record of accepted {lines}; nothing is dropped or repaired. One row per record of a file.",
                "columns": [
                    *(
                        {"name": one.header, "data_type": "varchar", "description": "As it came."}
                        for one in feed.columns
                    ),
                    *_lineage(),
                ],
            }
        ],
    }


def _curated_yaml(feed: InferredFeed, contract: Contract) -> dict[str, Any]:
    table = contract.tables[0]
    types = {
        column.name: type_sql(table.column(column.name), contract.origin).replace(", ", ",")
        for column in feed.columns
    }
    curated: dict[str, Any] = {
        "name": f"curated_{feed.name}",
        "description": f"Records of {feed.name}, typed as the contract says, that keep all its rules. One row per record of a file.",
        "config": {"contract": {"enforced": True}},
    }
    if len(feed.key) > 1:
        together = f"row({', '.join(feed.key)})"
        curated["data_tests"] = [
            {
                "unique": {
                    "name": f"unique_curated_{feed.name}_key",
                    "arguments": {"column_name": together},
                    "config": {"severity": "warn"},
                }
            }
        ]
    curated["columns"] = [
        *(_typed_column(column, types[column.name], feed) for column in feed.columns),
        *_lineage(),
    ]
    by_name = _is_quarantined_by_name(feed)
    refused = [
        {
            "name": one.name if by_name else one.header,
            "data_type": "varchar",
            "description": f"`{one.header}` as it came.",
        }
        for one in feed.columns
    ]
    reasons = [
        {"name": RULE, "data_type": "varchar", "description": "The first rule that the record breaks."},
        {"name": REASON, "data_type": "varchar", "description": "What the rule asks, in words."},
        {"name": KEY, "data_type": "varchar", "description": "A key over the values as they came."},
    ]
    return {
        "models": [
            curated,
            {
                "name": f"quarantine_{feed.name}",
                "description": f"Records of {feed.name} that break a rule of the contract, as they came. One row per record of a file.",
                "columns": [*refused, *_lineage(), *reasons],
            },
        ]
    }


def _typed_column(column: InferredColumn, data_type: str, feed: InferredFeed) -> dict[str, Any]:
    given: dict[str, Any] = {"name": column.name, "data_type": data_type, "description": _said(column)}
    if column.required:
        given["constraints"] = [{"type": "not_null"}]
    if list(feed.key) == [column.name]:
        # the key is a guess, so that rows which repeat it are reported and not refused
        given["data_tests"] = [{"unique": {"config": {"severity": "warn"}}}]
    return given


def _said(column: InferredColumn) -> str:
    text = f"`{column.header}` of the files"
    if column.null_values:
        text += "; NULL where it is " + " or ".join(f"`{one}`" for one in column.null_values)
    if column.is_optional:
        text += "; NULL where a file lacks it"
    if column.classification:
        text += f"; {column.classification}"
    return f"{text}."


def _lineage() -> Iterator[dict[str, Any]]:
    for name in LINEAGE:
        data_type, text = _LINEAGE_TEXTS[name]
        yield {"name": name, "data_type": data_type, "description": text}


def _is_quarantined_by_name(feed: InferredFeed) -> bool:
    """Whether a header has the name of a column that quarantine has itself, so that originals go by the names of models."""
    return any(column.header.lower() in (RULE, REASON) for column in feed.columns)
