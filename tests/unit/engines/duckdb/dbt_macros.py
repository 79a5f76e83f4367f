"""The adapter's own macros, rendered without dbt: what a merge configuration means is read off its statement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from types import SimpleNamespace
from typing import Any

import jinja2
from dbt_common.clients.jinja import BaseMacroGenerator, get_environment
from dbt_common.exceptions import MacroReturn

_FOLDERS = {
    "dbt.include.duckdb": ("macros/materializations/incremental_strategy", "macros/utils"),
    "dbt.include.global_project": ("macros/materializations/models/incremental",),
}


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


def merge_statement(
    config: Mapping[str, Any],
    target: str,
    source: str,
    unique_key: Sequence[str],
    columns: Sequence[str],
    predicates: Sequence[str] = (),
) -> str:
    """The MERGE that dbt-duckdb runs for a model's configuration."""

    def returns(value: Any = None) -> None:  # noqa: ANN401 - as in a macro
        raise MacroReturn(value)

    def refuses(message: str) -> None:
        raise ValueError(message)

    context: dict[str, Any] = {
        "config": SimpleNamespace(get=lambda name, default=None: config.get(name, default)),
        "exceptions": SimpleNamespace(raise_compiler_error=refuses),
        "return": returns,
    }
    context["adapter"] = SimpleNamespace(
        is_ducklake=lambda _: False, dispatch=lambda name, _: context[f"default__{name}"]
    )
    environment = get_environment(None, capture_macros=False)
    for package, folders in _FOLDERS.items():
        for folder in folders:
            for path in sorted(resources.files(package).joinpath(folder).iterdir(), key=lambda p: p.name):
                if not path.name.endswith(".sql"):
                    continue
                text = path.read_text(encoding="utf-8")
                template = environment.from_string(text)
                for name in re.findall(r"{%-?\s*macro\s+(\w+)", text):
                    context[name] = _Macro(template, name, context)
    dest = [SimpleNamespace(name=name, column=name, quoted=f'"{name}"') for name in columns]
    rendered = context["duckdb__get_merge_sql"](target, source, list(unique_key), dest, list(predicates))
    return str(rendered)
