"""Macros rendered without dbt, as it would call them: what they mean is read off the SQL that they return."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from types import SimpleNamespace
from typing import Any

import jinja2
from dbt_common.clients.jinja import BaseMacroGenerator, get_environment
from dbt_common.exceptions import MacroReturn


class _Macro(BaseMacroGenerator):
    def __init__(self, template: jinja2.Template, name: str, context: dict[str, Any]) -> None:
        super().__init__(context)
        self._template, self._name = template, name

    def get_template(self) -> jinja2.Template:
        return self._template

    def get_name(self) -> str:
        return self._name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as a macro
        return self.call_macro(*args, **kwargs)


def macros_below(folders: Iterable[Traversable], **context: Any) -> dict[str, Any]:  # noqa: ANN401 - as in Jinja
    """The macros of some folders by name, each to be called.

    Args:
        folders: with files of macros.
        context: what they find besides each other, ``return`` and ``exceptions``.
    """

    def returns(value: Any = None) -> None:  # noqa: ANN401 - as in a macro
        raise MacroReturn(value)

    def refuses(message: str) -> None:
        raise ValueError(message)

    found: dict[str, Any] = {
        "exceptions": SimpleNamespace(raise_compiler_error=refuses),
        "return": returns,
        **context,
    }
    environment = get_environment(None, capture_macros=False)
    for folder in folders:
        for path in sorted(folder.iterdir(), key=lambda one: one.name):
            if not path.name.endswith(".sql"):
                continue
            text = path.read_text(encoding="utf-8")
            template = environment.from_string(text)
            for name in re.findall(r"{%-?\s*macro\s+(\w+)", text):
                found[name] = _Macro(template, name, found)
    return found
