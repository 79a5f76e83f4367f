"""Jinja in profiles.yml, rendered by dbt's own environment: its filters, its types, its refusals.

Expressions that use ``env_var`` alone, as nearly all do, are rendered without loading dbt itself, which takes seconds. For all others dbt's renderer
of profiles is asked.
"""

from __future__ import annotations

import os
import re
from typing import Any

from slipway.domain.errors import ConfigError

_JINJA = re.compile(r"{[{%#]")
_OWN = frozenset({"env_var"})


def render(value: Any, where: str = "profiles.yml") -> Any:
    """A value of a profile with its Jinja rendered as dbt renders it, in lists and mappings, too.

    Args:
        value: what stands in the file.
        where: the file in messages.

    Raises:
        ConfigError: an environment variable is not set, or the text is not Jinja.
    """
    if isinstance(value, dict):
        return {key: render(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, where) for item in value]
    if isinstance(value, str) and _JINJA.search(value):
        return _rendered(value, where)
    return value


def _rendered(text: str, where: str) -> Any:
    import jinja2.meta
    from dbt_common.clients.jinja import get_environment, get_template, render_template
    from dbt_common.exceptions import DbtBaseException

    def env_var(name: str, default: Any = None) -> Any:
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(
                f"{where} needs {name}", "the environment variable is not set", f"export {name}=…"
            )
        return found

    try:
        names = jinja2.meta.find_undeclared_variables(get_environment(native=True).parse(text))
        if names <= _OWN:
            given = {"env_var": env_var}
            return render_template(get_template(text, given, native=True), given)
        return _by_dbt(text)
    except (jinja2.TemplateError, DbtBaseException) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(
            f"{where} has {text}", " ".join(str(error).split()), "correct it as dbt's Jinja has it"
        ) from None


def _by_dbt(text: str) -> Any:
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.context import get_invocation_context, set_invocation_context

    try:
        get_invocation_context()
    except LookupError:
        set_invocation_context(os.environ)
    return ProfileRenderer({}).render_value(text)
