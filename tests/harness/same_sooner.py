"""What libraries work out again and again, by shorter ways that come to the same (tests/unit/harness/test_same_sooner.py).

Most of the processor time of a command in a small project is dbt's own: for each node and each call of a macro it makes a Jinja context with all
macros of dbt and of its adapter, it writes every event through a parser of JSON, and it converts all macros twice for manifest.json. For each line
of its log it looks at the file and formats the line twice, and it lists the folders of its own macros in every command.
pyiceberg copies the whole metadata of a table each time that a transaction looks at it, some twenty times for each append.

The ordinary suite takes these ways. With LIBRARIES_AS_THEY_ARE, which ``scripts/test --long`` sets, no test does.
"""

from __future__ import annotations

import datetime as dt
import os
import sysconfig
from collections.abc import Callable, Iterable
from logging import LogRecord
from logging.handlers import RotatingFileHandler
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
    from dbt.contracts.graph.nodes import Macro
    from google.protobuf.message import Message
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata

Rolls = Callable[[RotatingFileHandler, LogRecord], "bool | int"]
Finds = Callable[..., list[dict[str, Any]]]

_LONGEST_LINE = 5 * 1024 * 1024
_INSTALLED = sysconfig.get_path("purelib") + os.sep


def shorten_dbt() -> None:
    """Have dbt take these ways in this process."""
    if "LIBRARIES_AS_THEY_ARE" in os.environ:
        return
    from dbt.context.macros import MacroNamespaceBuilder
    from dbt.context.manifest import ManifestContext
    from dbt.contracts.graph.nodes import Documentation, Macro
    from dbt.parser import search
    from dbt_common.events import base_types

    MacroNamespaceBuilder.add_macros = add_macros  # type: ignore[method-assign]
    ManifestContext.to_dict = to_dict  # type: ignore[method-assign]
    base_types.ParseDict = parse_dict  # type: ignore[attr-defined]
    RotatingFileHandler.shouldRollover = should_roll_over(RotatingFileHandler.shouldRollover)  # type: ignore[method-assign, assignment]
    search.find_matching = find_matching(search.find_matching)  # type: ignore[attr-defined]
    # they have no more fields than what is written of them
    Macro.to_resource = Documentation.to_resource = lambda own: own  # type: ignore[method-assign]


def shorten_pyiceberg() -> None:
    """Have pyiceberg take this way in this process."""
    if "LIBRARIES_AS_THEY_ARE" in os.environ:
        return
    from pyiceberg.table import Transaction

    Transaction.table_metadata = property(table_metadata)  # type: ignore[method-assign, assignment]


def table_metadata(self: Transaction) -> TableMetadata:
    """What a transaction has made of a table's metadata, until there is another update; nobody changes it in place."""
    from pyiceberg.table.update import update_table_metadata

    base, updates, found = self.__dict__.get("_known", (None, None, None))
    if base is not self._table.metadata or updates is not self._updates:
        base, updates = self._table.metadata, self._updates
        found = update_table_metadata(base, updates)
        self.__dict__["_known"] = base, updates, found
    return cast("TableMetadata", found)


def add_macros(self: MacroNamespaceBuilder, macros: Iterable[Macro], ctx: dict[str, Any]) -> None:
    """Make what calls each macro without three constructors for each of them."""
    from dbt.clients.jinja import MacroGenerator
    from dbt.exceptions import DuplicateMacroNameError

    for macro in macros:
        name, package = macro.name, macro.package_name
        caller = MacroGenerator.__new__(MacroGenerator)
        caller.context, caller.macro, caller.node, caller.stack = ctx, macro, self.node, self.thread_ctx
        internal = package in self.internal_package_names
        namespace = (self.internal_packages if internal else self.packages).setdefault(package, {})
        if name in namespace:
            raise DuplicateMacroNameError(namespace[name].macro, macro, package)
        namespace[name] = caller
        if not internal and package == self.search_package:
            self.locals[name] = caller
        elif not internal and package == self.root_package:
            self.globals[name] = caller


def to_dict(self: Any) -> dict[str, Any]:  # noqa: ANN401 - a context of dbt's
    """A context with its macros."""
    from dbt.context.macro_resolver import TestMacroNamespace
    from dbt.context.manifest import ManifestContext

    found: dict[str, Any] = super(ManifestContext, self).to_dict()
    if isinstance(self.namespace, TestMacroNamespace):
        found.update(self.namespace.local_namespace)
        found.update(self.namespace.project_namespace)
    else:
        found.update(flat(self.namespace))
    return found


def flat(namespace: MacroNamespace) -> dict[str, Any]:
    """Macros by the names that code calls them by, a whole dictionary at a time: those that are searched first are put in last."""
    found: dict[str, Any] = {}
    for searched in reversed(list(namespace._search_order())):
        found.update(searched)
    return found


def should_roll_over(real: Rolls) -> Rolls:
    """Whether a log has to continue in another file, without formatting the line where the file has less than half of what it may have."""

    def answer(self: RotatingFileHandler, record: LogRecord) -> bool | int:
        stream: IO[str] | None = self.stream
        if stream is None or self.maxBytes <= _LONGEST_LINE:
            return real(self, record)
        return os.fstat(stream.fileno()).st_size >= self.maxBytes - _LONGEST_LINE and real(self, record)

    return answer


def find_matching(real: Finds) -> Finds:
    """Files below folders, which are listed once where they are those of an installed package."""
    kept: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    def found(root: str, folders: list[str], pattern: str, ignored: Any = None) -> list[dict[str, Any]]:  # noqa: ANN401 - dbt's
        if ignored or not os.path.normpath(root).startswith(_INSTALLED):
            return real(root, folders, pattern, ignored)
        key = (root, pattern, *folders)
        if key not in kept:
            kept[key] = real(root, folders, pattern, ignored)
        return [dict(one) for one in kept[key]]

    return found


def parse_dict(fields: dict[str, Any], message: Message) -> Message:
    """A message of an event made by its constructor where that takes all fields as they are."""
    from google.protobuf.json_format import ParseDict

    try:
        return type(message)(**_with_time(fields))
    except (AttributeError, TypeError, ValueError):
        return ParseDict(fields, message)


def _with_time(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with the time of an event as the constructor takes it."""
    info = fields.get("info")
    if not isinstance(info, dict):
        return fields
    from google.protobuf.timestamp_pb2 import Timestamp

    at = Timestamp()
    at.FromDatetime(dt.datetime.fromisoformat(info["ts"]))
    return {**fields, "info": {**info, "ts": at}}
