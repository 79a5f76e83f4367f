"""REST catalogs that move several tables in one request.

Source: Apache Iceberg, REST catalog specification, ``commitTransaction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import Endpoint, HttpMethod, RestCatalog
from pyiceberg.table import CommitTableRequest, TableIdentifier
from requests import HTTPError

from slipway.adapters.iceberg.catalogs.updates import forward
from slipway.adapters.iceberg.tables import StagedTable, Tables
from slipway.domain.errors import UnavailableError

_PATH = "transactions/commit"
_ENDPOINT = Endpoint(http_method=HttpMethod.POST, path=f"/v1/{{prefix}}/{_PATH}")
_SECONDS = 60
_CONFLICT = (404, 409)


def moves_several(catalog: Catalog) -> bool:
    """Whether the server says that it offers the request."""
    return _ENDPOINT in cast("RestCatalog", catalog)._supported_endpoints


def move(tables: Tables, staged: Sequence[StagedTable]) -> StagedTable | None:
    """Have the server apply the updates of every table, or of none.

    Returns:
        A table that is no longer at its base; then none was moved.

    Raises:
        UnavailableError: the server refuses, or it is not known whether it applied them.
    """
    catalog = cast("RestCatalog", tables.catalog)
    changes = [_request(tables, item).model_dump_json() for item in staged]
    answer = catalog._session.post(
        catalog.url(_PATH), data=f'{{"table-changes":[{",".join(changes)}]}}'.encode(), timeout=_SECONDS
    )
    try:
        answer.raise_for_status()
    except HTTPError as error:
        if answer.status_code in _CONFLICT:
            return _moved(tables, staged)
        raise UnavailableError(
            f"catalog of {tables.environment.name} did not confirm the publication",
            str(error),
            "the next run or publication finds out and records it",
        ) from error
    return None


def _request(tables: Tables, item: StagedTable) -> CommitTableRequest:
    requirements, updates = forward(tables, item)
    name = TableIdentifier(namespace=list(item.identifier[0].split(".")), name=item.identifier[1])
    return CommitTableRequest(identifier=name, requirements=requirements, updates=updates)


def _moved(tables: Tables, staged: Sequence[StagedTable]) -> StagedTable:
    """The first table that is not as its base was."""
    from slipway.adapters.iceberg.catalogs.commit import hindrance

    now = tables.locations({item.identifier for item in staged})
    for item in staged:
        if hindrance(tables, item.identifier, item.base, now.get(item.identifier)):
            return item
    return staged[0]
