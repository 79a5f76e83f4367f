"""Only the code of a project: parsed, with tables without rows in place of those that are published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.dbt import invocation
from slipway.dbt.compiled import compiled
from slipway.dbt.in_turn import InTurn
from slipway.dbt.plugin import thread_cursor
from slipway.dbt.seeds import read_seed, seed_types
from slipway.environments.profiles import ADAPTER
from slipway.errors import ConfigError

if TYPE_CHECKING:
    import duckdb
    from dbt.contracts.graph.manifest import Manifest

    from slipway.dbt.missing_targets import MissingTarget
    from slipway.dbt.session import Session
    from slipway.dbt.stubs import Stubs


class CodeOnly:
    """A parsed project, with tables without rows in place of those that are published.

    Args:
        manifest: dbt's.
        stubs: the tables.
        session: of the adapter.
        cursor: the database in which queries are bound.
        missing: references to nothing.
    """

    def __init__(
        self,
        manifest: Manifest,
        stubs: Stubs,
        session: Session,
        cursor: duckdb.DuckDBPyConnection,
        missing: Sequence[MissingTarget] = (),
    ) -> None:
        self.manifest, self.stubs, self.session, self.cursor = manifest, stubs, session, cursor
        self.missing = missing
        self._in_turn = InTurn()

    def query(self, unique_id: str, *, incremental: bool = False, engine: str = "") -> str:
        """The query of a node, with or without a table that it adds to, as its engine or another one computes it.

        Raises:
            ConfigError: it cannot be rendered.
        """
        from dbt_common.exceptions import DbtBaseException

        self.stubs.begin(incremental=incremental, engine=engine)
        try:
            with self._in_turn:
                return compiled(self.manifest, unique_id)
        except DbtBaseException as error:
            raise ConfigError(_text(error)) from error

    def seed_types(self, unique_id: str) -> Sequence[tuple[str, str]]:
        """Names and DuckDB types of a seed's columns, as a build finds them."""
        from dbt.adapters.factory import FACTORY
        from dbt_common.clients.agate_helper import from_csv

        node: Any = self.manifest.nodes[unique_id]
        declared = node.config.column_types or {}
        path = Path(node.root_path or ".") / node.original_file_path
        seed = read_seed(node.name, path, node.config.delimiter)
        table = from_csv(path, text_columns=list(declared), delimiter=node.config.delimiter)
        adapter: Any = FACTORY.adapters[ADAPTER]
        guessed = [str(adapter.convert_type(table, at)) for at in range(len(table.column_names))]
        return list(zip(seed.columns, seed_types(seed, guessed, declared), strict=True))


@contextmanager
def code_only(
    project: Path, target: str | None, stubs: Stubs, *, despite_missing: bool = False
) -> Iterator[CodeOnly]:
    """Parse a project, and open a database without any data for it.

    Args:
        project: folder of dbt_project.yml.
        target: the dbt target; the profile's by default.
        stubs: the tables that there are.
        despite_missing: also when it has references to nothing, which are then in ``missing``.

    Raises:
        ConfigError: dbt cannot parse the project.
    """
    from dbt.adapters.factory import FACTORY

    invocation.current.stubs = stubs
    try:
        missing: list[MissingTarget] = []
        manifest = invocation.parsed(project, target, missing=missing if despite_missing else None)
        adapter: Any = FACTORY.adapters[ADAPTER]
        with adapter.connection_named("slipway_check"):
            cursor = thread_cursor()
            session = invocation.session()
            assert session is not None  # the adapter makes it when it opens the database
            yield CodeOnly(manifest, stubs, session, cursor, missing)
    finally:
        invocation.current.stubs = None


def _text(error: BaseException) -> str:
    return str(getattr(error, "msg", None) or error)
