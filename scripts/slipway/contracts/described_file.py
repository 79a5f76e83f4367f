"""Files at the root of a project that a pydantic model describes, such as alerts.yml: read as contracts are, with the line of what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from slipway.contracts.problems import Path, Problem, unknown, words
from slipway.contracts.yaml_text import NotYamlError, YamlText
from slipway.errors import ConfigError

_M = TypeVar("_M", bound=BaseModel)


def parse_described(
    text: str,
    model: type[_M],
    file: str,
    begin: str,
    check: Callable[[_M], Iterator[Problem]] = lambda _: iter(()),
) -> _M:
    """What a file says.

    Args:
        text: its YAML.
        model: what it may say; it forbids what it does not know.
        file: its name.
        begin: what to write into one that is empty or something else than a mapping.
        check: what the model cannot say of itself.

    Raises:
        ConfigError: the first thing that is wrong with it, with its line and, of a name that is not known, with the nearest one that is.
    """
    try:
        given = YamlText(text)
    except NotYamlError as error:
        at = f", line {error.line}" if error.line else ""
        raise ConfigError(f"{file}{at} cannot be read", error.problem, begin) from None
    problems, found = list(given.problems), None
    try:
        found = model.model_validate(given.value)
    except ValidationError as error:
        # a key that is misspelt says more than that the right one is missing
        in_order = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        problems += [_problem(dict(one), model, file) for one in in_order]
    else:
        problems += check(found)
    if problems or found is None:
        first = problems[0]
        line = first.line or given.line(first.path)
        raise Problem(first.path, first.what, first.fix, file, line, words(first.path, given.value)).error
    return found


def _problem(error: Mapping[str, Any], model: type[BaseModel], file: str) -> Problem:
    """What pydantic found, in words."""
    path: Path = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        return unknown(path, str(path[-1]), file, _keys(model, path[:-1]))
    if error["type"] == "enum":
        kinds = [one for one in _at(model, path) if isinstance(one, type) and issubclass(one, Enum)]
        return unknown(
            path, str(error["input"]), file, [str(one.value) for kind in kinds for one in kind], "value"
        )
    message = str(error["msg"]).removeprefix("Value error, ")
    return Problem(path, message[:1].lower() + message[1:], "Correct it")


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that a mapping may have, by the models that describe it."""
    found = [one for one in _at(model, path) if isinstance(one, type) and issubclass(one, BaseModel)]
    return [field.alias or name for one in found for name, field in one.model_fields.items()]


def _at(kind: Any, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ANN401 - a type
    """The types that the value at a place may have, for a model's type with fields, items and values inside."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _at(inner[0], path)
    elif origin in (Union, UnionType):
        for one in inner:
            yield from _at(one, path)
    elif not path:
        yield kind
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if path[0] == (field.alias or name):
                yield from _at(field.annotation, path[1:])
    elif inner and isinstance(origin, type):
        yield from _at(inner[-1] if issubclass(origin, Mapping) else inner[0], path[1:])
