"""REST catalogs: a client that gives up in time, and publishing in one request where the server takes it.

Source: Apache Iceberg, REST catalog specification: ``commitTransaction``, and what its error codes mean for a commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from pydantic import ValidationError
from pyiceberg.catalog.rest import Endpoint, HttpMethod, RestCatalog
from pyiceberg.catalog.rest.response import _handle_non_200_response
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    CommitFailedException,
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    UnauthorizedError,
)
from pyiceberg.table import CommitTableRequest, TableIdentifier
from requests import HTTPError, PreparedRequest, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from slipway.errors import ConfigError
from slipway.iceberg.catalogs.kinds import ONE_BY_ONE, CatalogKind
from slipway.iceberg.catalogs.movers import CatalogTables, UpdateMover, forward
from slipway.iceberg.snapshots import StagedTable
from slipway.write_limits import WRITES_BELOW, check_write

ATOMIC = "slipway.multi-table-commit"
"""Catalog property: ``atomic`` says of a server that it applies the request for several tables whole or not at all."""

ONE_REQUEST = (
    "all tables in one request, which the server applies whole or not at all, as its configuration says"
)
UNPROVEN = (
    "all tables in one request, finished or undone by the next command if interrupted; whether readers other than"
    " slipway may see a mixture meanwhile is not known of this server"
)
_PATH = "transactions/commit"
_ENDPOINT = Endpoint(http_method=HttpMethod.POST, path=f"/v1/{{prefix}}/{_PATH}")
_TIMEOUT = (5, 60)  # seconds: to connect, to wait for an answer
_DELEGATION = "X-Iceberg-Access-Delegation"
_TRIES = 2  # for a conflict, or an answer that says nothing; after that tables are asked for one by one
_CANNOT = (400, 404, 405, 406, 415, 422, 501)


class NotTakenError(Exception):
    """The server has no request for several tables, or does not make new ones by it."""


_ERRORS: dict[int, type[Exception]] = {
    409: CommitFailedException,
    **dict.fromkeys((500, 502, 504), CommitStateUnknownException),
    **dict.fromkeys(_CANNOT, NotTakenError),
}


class ServedCatalog(RestCatalog):
    """A REST catalog whose server may be slow, away, or at its limits.

    Reading is tried again. What changes something is not: the answer may be all that was lost.

    Raises:
        ConfigError: a property has a value without a meaning.
    """

    def __init__(self, name: str, **properties: str) -> None:
        if (said := properties.get(ATOMIC, "atomic")) != "atomic":
            raise ConfigError(
                f"Catalog property {ATOMIC} of {name} is {said}", fix="Set it to atomic, or leave it out"
            )
        self.says_atomic = ATOMIC in properties
        """Whether the configuration, not the server, says that the request is applied whole or not at all."""
        super().__init__(name, **properties)

    @property
    def is_nessie(self) -> bool:
        """Whether the server says that it is Nessie."""
        return self.properties.get("nessie.is-nessie-catalog") == "true"

    @property
    def takes_several(self) -> bool:
        """Whether the server has the request, as it lists or as is said of it."""
        return self.says_atomic or _ENDPOINT in self._supported_endpoints

    def commit_several(self, changes: Sequence[CommitTableRequest]) -> None:
        """Have the server apply the changes of several tables.

        Raises:
            CommitFailedException: what must be true of the tables is not.
            CommitStateUnknownException: it is not known whether it applied them.
            NotTakenError: it has no such request, or not for these tables.
        """
        try:
            self._post(changes)
        except (AuthorizationExpiredError, UnauthorizedError):
            self._refresh_token()
            self._post(changes)

    def _post(self, changes: Sequence[CommitTableRequest]) -> None:
        listed = ",".join(change.model_dump_json() for change in changes)
        answer = self._session.post(self.url(_PATH), data=f'{{"table-changes":[{listed}]}}'.encode())
        try:
            answer.raise_for_status()
        except HTTPError as error:
            _handle_non_200_response(error, _ERRORS)

    def _config_headers(self, session: Session) -> None:
        super()._config_headers(session)
        if f"header.{_DELEGATION}" not in self.properties:  # keys that come with a table would not be used
            del session.headers[_DELEGATION]
        retries = Retry(
            total=3,
            read=1,
            backoff_factor=0.5,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods=("GET", "HEAD"),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        kind = _OnlyReads if WRITES_BELOW in self.properties else HTTPAdapter
        for scheme in ("http://", "https://"):
            session.mount(scheme, kind(max_retries=retries))
        session.request = partial(session.request, timeout=_TIMEOUT)  # type: ignore[method-assign]


class _OnlyReads(HTTPAdapter):
    """Sends no request that would change anything on the server."""

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Send a request that reads, or that asks for a token."""
        address = str(request.url)
        if request.method not in ("GET", "HEAD") and not address.endswith("/oauth/tokens"):
            check_write({WRITES_BELOW: ""}, address)
        return super().send(request, *args, **options)


class RestKind(CatalogKind):
    """A server that speaks Iceberg's REST protocol."""

    def mover(self, tables: CatalogTables) -> UpdateMover:
        """By one request, where the server takes it."""
        return RestMover(tables)

    def guarantee(self, *, whole: bool) -> str:
        """What readers may rely on, which the server does not say by itself."""
        if not whole:
            return ONE_BY_ONE
        return ONE_REQUEST if self._server.says_atomic else UNPROVEN

    @property
    def cannot_hold(self) -> str:
        """Nessie cannot hold releases."""
        if not self._server.is_nessie:
            return ""
        return (
            "Nessie keeps neither tags nor earlier snapshots in a table's metadata, so releases could neither be"
            " recognised nor rolled back"
        )

    def is_unsure(self, error: Exception) -> bool:
        """Whether the server may have done what it was asked for, although it did not say so."""
        return isinstance(
            error,
            CommitStateUnknownException
            | ServerError
            | ServiceUnavailableError
            | RequestException
            | ValidationError,  # an answer that cannot be understood
        )

    @property
    def _server(self) -> ServedCatalog:
        return cast("ServedCatalog", self._catalog)


class RestMover(UpdateMover):
    """Moves all tables by one request, where the server takes it."""

    def __init__(self, tables: CatalogTables) -> None:
        super().__init__(tables)
        self._server = cast("ServedCatalog", tables.catalog)
        self._asks, self._tries, self._most, self.whole = self._server.takes_several, 0, 0, True

    def forward_all(self, items: Sequence[StagedTable]) -> None:
        """By one request; what the server does not take so, one after the other."""
        # no server drops or registers by such a request
        if any(item.retires or item.registers for item in items):
            self.whole = False
            super().forward_all(items)
            return
        self._most = max(self._most, len(items))
        self.whole = self.whole and len(items) == self._most  # else some were moved without the others
        if len(items) > 1 and self._asks:
            if self._together(items):
                return
            self.whole = False
            known = [item for item in items if item.base is not None]  # some servers make no tables by it
            if 1 < len(known) < len(items) and self._together(known):
                return
            self._asks = False
        self.whole = self.whole and self._asks
        super().forward_all(items)

    def _together(self, items: Sequence[StagedTable]) -> bool:
        """Ask for all of them; False if they are to be asked for one by one."""
        self._tries += 1
        if self._tries > _TRIES:
            return False
        try:
            self._server.commit_several([_request(self._tables, item) for item in items])
        except NotTakenError:
            return False
        except CommitFailedException:  # whoever looks again finds which one
            self.whole = False
        return True


def _request(tables: CatalogTables, item: StagedTable) -> CommitTableRequest:
    requirements, updates = forward(tables, item)
    name = TableIdentifier(namespace=list(item.identifier[0].split(".")), name=item.identifier[1])
    return CommitTableRequest(identifier=name, requirements=requirements, updates=updates)
