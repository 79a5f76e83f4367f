"""The socket of a run's catalog: HTTP or HTTPS, a token of the run's own, and nobody but this machine unless a setting says so."""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any, cast

from slipway.errors import ConfigError, first_line
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_protocol import Answer, Request, answer, error
from slipway.secrets import remember
from slipway.settings import Settings, variable

LONGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request. A commit has its new snapshot and the changed schema, not the table."""

_IDLE_SECONDS = 600
_HANDSHAKE_SECONDS = 20


@dataclass(frozen=True)
class Served:
    """Where a run's catalog is, for the clients of the run.

    Args:
        uri: the address.
        token: what they have to show.
    """

    uri: str
    token: str


@dataclass(frozen=True)
class Serving(Served):
    """A catalog that is served, and others of the same run: at the same address, each with a token of its own.

    Args:
        server: what listens.
    """

    server: _Server = field(repr=False)

    def serve_also(self, catalog: RunCatalog) -> Served:
        """Serve another catalog of the run, as long as the first one."""
        return Served(self.uri, self.server.add(catalog))


@dataclass(frozen=True)
class Listening:
    """Where to listen, as the settings say.

    Args:
        host: name or address of an interface of this machine.
        port: 0 for any that is free.
        uri: the address for clients where it is not this one.
        encryption: for HTTPS; None for HTTP.
    """

    host: str = "127.0.0.1"
    port: int = 0
    uri: str | None = None
    encryption: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: Settings) -> Listening:
        """What the settings say.

        Raises:
            ConfigError: they cannot be used, or would send the token over a network as plain text.
        """
        listen, uri = settings.run_catalog_listen or "127.0.0.1", settings.run_catalog_uri
        host, port = _host_and_port(listen)
        encryption = _encryption(settings)
        if uri is not None and uri.startswith("jdbc:"):  # it may hold a password
            raise ConfigError(
                f"{variable('run_catalog_uri')} names a database",
                "a catalog in a database refuses nothing that a run must not do, such as deleting published files",
                "Give the address of the run's catalog: of a proxy, or of a tunnel that leads to this machine",
            )
        if uri is not None and not uri.startswith(("http://", "https://")):
            raise ConfigError(
                f"{variable('run_catalog_uri')} is {uri}",
                "it is no address",
                "Give one that begins with https://",
            )
        if not _is_this_machine(host) and encryption is None and not (uri or "").startswith("https://"):
            raise ConfigError(
                f"{variable('run_catalog_listen')} is {listen}",
                "other machines would send the run's token as plain text",
                f"Give a certificate with {variable('run_catalog_certificate')}, or the https:// address of a proxy with"
                f" {variable('run_catalog_uri')}",
            )
        return cls(host, port, uri, encryption)


def _host_and_port(listen: str) -> tuple[str, int]:
    bracketed = listen.startswith("[")
    host, _, port = listen.rpartition("]:" if bracketed else ":") if ":" in listen else (listen, "", "0")
    host = host.removeprefix("[")
    if not host or (":" in host and not bracketed) or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(
            f"{variable('run_catalog_listen')} is {listen}",
            "it is no host with a port",
            "Give one such as 0.0.0.0:8181 or [::1]:8181",
        )
    return host, int(port)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _encryption(settings: Settings) -> ssl.SSLContext | None:
    if settings.run_catalog_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.run_catalog_certificate, settings.run_catalog_key)
    except (OSError, ValueError) as failed:  # SSLError is an OSError
        raise ConfigError(
            f"{variable('run_catalog_certificate')} is {settings.run_catalog_certificate}",
            f"it cannot be used: {first_line(failed)}",
            f"Give a file in PEM with the certificate chain, and its key there or with {variable('run_catalog_key')}",
        ) from None
    return context


@contextmanager
def serving(catalog: RunCatalog, listening: Listening | None = None) -> Iterator[Serving]:
    """Serve a run's catalog until the block ends.

    Raises:
        ConfigError: nobody can listen there.
    """
    listening = listening or Listening()
    try:
        server = _Server(listening)
    except OSError as failed:
        raise ConfigError(
            f"The run's catalog cannot listen on {listening.host}:{listening.port}",
            first_line(failed),
            f"Set {variable('run_catalog_listen')} to an address of this machine with a free port",
        ) from None
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name="run-catalog")
        thread.start()
        try:
            yield Serving(listening.uri or server.uri, server.add(catalog), server)
        finally:
            server.has_ended = True  # connections that are open are refused from now on
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: Listening) -> None:
        self.has_ended = False
        self._catalogs: dict[str, RunCatalog] = {}
        self._encryption = listening.encryption
        if ":" in listening.host:
            import socket as sockets

            self.address_family = sockets.AF_INET6
        super().__init__((listening.host, listening.port), _Handler)

    def add(self, catalog: RunCatalog) -> str:
        """Serve a catalog, and give the token by which clients ask for it."""
        token = secrets.token_urlsafe(32)
        remember([token])
        self._catalogs = {**self._catalogs, token: catalog}  # requests of others are under way
        return token

    def catalog_for(self, authorization: str) -> RunCatalog | None:
        """The catalog whose token a header gives; None for no token of the run."""
        given, found = authorization.encode("latin-1", "replace"), None
        for token, catalog in self._catalogs.items():
            if hmac.compare_digest(given, f"Bearer {token}".encode()):
                found = catalog
        return found

    @property
    def uri(self) -> str:
        host = str(self.server_address[0])
        scheme = "https" if self._encryption else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.server_port}"

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread: whoever does not end the handshake keeps nobody waiting."""
        connection = cast("socket", request)
        if self._encryption:
            connection.settimeout(_HANDSHAKE_SECONDS)
            try:
                connection = self._encryption.wrap_socket(connection, server_side=True)
            except OSError:  # plain text, or a client that does not trust the certificate
                return
        try:
            super().finish_request(connection, client_address)
        finally:
            if self._encryption:
                connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a connection that broke."""


_NO_TOKEN = error(
    401,
    "NotAuthorizedException",
    "This is the catalog of another run: its token was not given. Connect to the catalog of your run.",
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "slipway", ""
    timeout = _IDLE_SECONDS
    # head and body in one packet: the client would wait 40 ms before it acknowledges the first of two
    wbufsize, disable_nagle_algorithm = -1, True
    server: _Server

    def _answer(self) -> None:
        catalog = self.server.catalog_for(self.headers.get("Authorization", ""))
        refusal = self._refusal(catalog)
        if catalog is None or refusal is not None:
            self.close_connection = True  # what the client still sends is not read
            self._reply(refusal or _NO_TOKEN)
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        self._reply(self._carried_out(catalog, body))

    def _refusal(self, catalog: RunCatalog | None) -> Answer | None:
        """Why a request is not even read; None if it is."""
        if catalog is None:
            return _NO_TOKEN
        if self.server.has_ended:
            return error(
                403, "ForbiddenException", "The run has ended: its catalog is closed. Begin another run."
            )
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not length.isascii() or not length.isdecimal():
            return error(
                411, "BadRequestException", "The length of the request is not known. Send Content-Length."
            )
        if len(length) > 18 or int(length) > LONGEST_BODY:
            why = (
                f"The request has {length[:18]} bytes, and {LONGEST_BODY} are allowed. Commit less at a time."
            )
            return error(413, "BadRequestException", why)
        return None

    def _carried_out(self, catalog: RunCatalog, body: bytes) -> Answer:
        try:
            return answer(catalog, Request(self.command, self.path, body))
        except Exception as unexpected:  # noqa: BLE001 - a defect of ours: the client gets an answer, and no traceback
            why = f"The run's catalog failed with {type(unexpected).__name__}. Nothing was staged. Report it, with the request."
            return error(500, "InternalServerError", why)

    def _reply(self, found: Answer) -> None:
        self.send_response(found.status)
        if found.content or found.status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(found.content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.content)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815 - as http.server calls them

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request of HTTP like the rest, instead of with a page."""
        code = 405 if code == 501 else code  # a method that nobody has
        self.close_connection = True
        self.request_version = self.protocol_version  # without one there would be no status in the answer
        why = f"The request cannot be read: {message or explain or 'it is no HTTP'}."
        content = json.dumps({"error": {"message": why, "type": "BadRequestException", "code": code}})
        self.command = getattr(self, "command", None) or "GET"
        self._reply(Answer(code, content.encode()))

    def log_message(self, *_: object) -> None:
        """Log nothing: the client gets what is refused in the answer."""
