"""Reading one record: whatever is wrong with it is told in one line that names it, and nothing is guessed."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import ValidationError

from slipway.adapters.objects import ObjectStore
from slipway.domain.errors import DamagedError
from slipway.domain.manifest import Record

REPAIRED = ".repaired"
"""A good copy of a damaged record lies beside it under its name and this."""

_R = TypeVar("_R", bound=Record)
_CHECK = "check SLIPWAY_WAREHOUSE, SLIPWAY_HOME and --target"


def read_record(store: ObjectStore, kind: type[_R], key: str, **expected: object) -> _R:
    """A record, or the copy of it that was put beside it when it was found damaged.

    Args:
        store: where it is.
        kind: what it is.
        key: its key.
        expected: fields that its place tells as well.

    Raises:
        FileNotFoundError: there is no such record.
        DamagedError: it is no record of a version this program knows, or belongs elsewhere.
    """
    content = store.read(key)
    try:
        return parse_record(kind, content, f"{store.root}/{key}", **expected)
    except DamagedError as damaged:
        try:
            copy = store.read(key + REPAIRED)
        except FileNotFoundError:
            raise damaged from None
        return parse_record(kind, copy, f"{store.root}/{key}{REPAIRED}", **expected)


def parse_record(kind: type[_R], content: bytes, name: str, **expected: object) -> _R:
    """The content of a record.

    Raises:
        DamagedError: it cannot be read, has another version, or another value in a field that is expected.
    """
    loaded = parse_json(content, name)
    known: int = kind.model_fields["schema_version"].default
    if (version := loaded.get("schema_version", known)) != known:
        raise DamagedError(
            f"{name} cannot be read",
            f"it has schema version {version}, and this slipway reads {known}",
            "use the version of slipway that wrote it, or a later one",
        )
    try:
        found = kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for field, value in expected.items():
        if (here := getattr(found, field)) != value:
            raise DamagedError(f"{name} cannot be used", f"its {field} is {here}, not {value}", _CHECK)
    return found


def parse_json(content: bytes, name: str) -> dict[str, object]:
    """A JSON object.

    Raises:
        DamagedError: it is none.
    """
    if not content.strip():
        raise _damaged(name, "it is empty")
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(name, f"it is no JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(loaded, dict):
        raise _damaged(name, "it is no JSON object")
    return loaded


def _damaged(name: str, why: str) -> DamagedError:
    return DamagedError(
        f"{name} cannot be read",
        why,
        f"put a good copy beside it as {name.rpartition('/')[2]}{REPAIRED}; slipway doctor tells what else is damaged",
    )
