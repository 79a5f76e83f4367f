"""dbt's contexts and templates of nodes that are rendered one after the other, as a check does: what is the same for all of them is made once.

For each node dbt makes an object for each macro of every package, some hundreds, and compiles the text of the node, although generic tests of one kind
have the same. These objects take half of the time of rendering. Each of them holds the context that the macro is called in, which is why dbt makes them
anew. Here they all hold one context, which is emptied and filled for each node. That is right as long as only one node is rendered at a time.
"""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    from dbt.context.macros import MacroNamespace


class InTurn:
    """While it is entered, dbt renders nodes so. It can be entered again; only one thread may render meanwhile."""

    def __init__(self) -> None:
        self._contexts = _contexts()
        self._codes: dict[tuple[bool, str], CodeType] = {}

    def __enter__(self) -> None:
        providers, jinja = _modules()
        self._of_dbt = providers.ModelContext, jinja.get_template
        providers.ModelContext, jinja.get_template = self._contexts, self._template

    def __exit__(self, *_: object) -> None:
        providers, jinja = _modules()
        providers.ModelContext, jinja.get_template = self._of_dbt

    def _template(
        self,
        string: str,
        ctx: dict[str, Any],
        node: Any = None,
        *,
        capture_macros: bool = False,
        native: bool = False,
    ) -> jinja2.Template:
        """As dbt's ``get_template``, with the code of a text that was compiled before."""
        from dbt_common.clients.jinja import catch_jinja, get_environment

        with catch_jinja(node):
            environment = get_environment(node, capture_macros, native=native)
            if capture_macros:  # its environment is one of the node
                return environment.from_string(str(string), globals=ctx)
            key = native, str(string)
            if key not in self._codes:
                self._codes[key] = environment.compile(str(string))
            given = environment.make_globals(ctx)
            return environment.template_class.from_code(environment, self._codes[key], given, None)


def _modules() -> tuple[Any, Any]:
    """dbt's modules in which something takes another place: of contexts, and of templates."""
    from dbt.clients import jinja
    from dbt.context import providers

    return providers, jinja


def _contexts() -> Any:
    """dbt's class of contexts of models and tests, whose contexts have macros in common; one that is made ends the one before."""
    from dbt.adapters.factory import get_adapter_package_names
    from dbt.context.macros import MacroNamespaceBuilder
    from dbt.context.manifest import ManifestContext
    from dbt.context.providers import ModelContext
    from dbt.include.global_project import PROJECT_NAME

    made: dict[str, tuple[MacroNamespace, dict[str, Any], Any]] = {}
    common: dict[str, Any] = {}

    class ContextInTurn(ModelContext):
        def _build_namespace(self) -> MacroNamespace:
            if self.search_package not in made:
                internal = get_adapter_package_names(self.config.credentials.type)
                # without a node: of one that is rendered nobody asks which macros it called
                builder = MacroNamespaceBuilder(
                    self.config.project_name, self.search_package, self.macro_stack, internal, None
                )
                namespace = builder.build_namespace(self.manifest.get_macros_by_package(), common)
                made[self.search_package] = namespace, _by_name(namespace), self.macro_stack
            namespace, _, self.macro_stack = made[self.search_package]
            common.clear()
            self._ctx = common
            return namespace

        def to_dict(self) -> dict[str, Any]:
            found: dict[str, Any] = super(ManifestContext, self).to_dict()
            namespace, by_name, _ = made[self.search_package]
            found.update(by_name)
            # a macro may change what it finds under the name of a package
            packages = {**namespace.packages, PROJECT_NAME: namespace.global_project_namespace}
            found.update(
                {name: dict(macros) for name, macros in packages.items() if by_name.get(name) is macros}
            )
            return found

    return ContextInTurn


def _by_name(namespace: MacroNamespace) -> dict[str, Any]:
    """Macros and packages by the names that code calls them by: those that dbt looks for first are put in last."""
    found: dict[str, Any] = {}
    for searched in reversed(list(namespace._search_order())):
        found.update(searched)
    return found
