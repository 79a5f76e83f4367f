"""A proxy before the object store: it counts requests, and lets those go wrong that a test wants to."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# method, path and query, how often the two were asked for before: a status to answer with, 0 to hang up, None to pass on,
# or what goes wrong with the answer of the store
Fault = Callable[[str, str, int], "int | Mishap | None"]


class Mishap(StrEnum):
    """The store does what it is asked to, and then: half of the body arrives, or no answer at all, or it takes its time."""

    CUT = "cut"
    LOST = "lost"
    SLOW = "slow"


HOP = {"connection", "content-length", "date", "expect", "host", "server", "transfer-encoding"}


class Proxy(ThreadingHTTPServer):
    """Passes requests on to the store, except those that go wrong."""

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = urlsplit(endpoint).netloc
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.fault: Fault = lambda *_: None
        self.body = b"<Error><Code>ServiceUnavailable</Code></Error>"
        self.failed: Counter[str] = Counter()
        self.log: list[tuple[str, str]] = []
        self._asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def judge(self, method: str, path: str) -> int | Mishap | None:
        with self._lock:
            before = self._asked[method, path]
            self._asked[method, path] += 1
            self.log.append((method, path))
            status = self.fault(method, path, before)
            if status is not None:
                self.failed[method] += 1
            return status


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def answer(self) -> None:
        body = self.body()
        status = self.server.judge(self.command, self.path)
        if status == 0:
            self.hang_up()
        elif status is None or isinstance(status, Mishap):
            self.pass_on(body, status)
        else:
            self.reply(status, [], self.server.body)

    def pass_on(self, body: bytes, mishap: Mishap | None) -> None:
        store = http.client.HTTPConnection(self.server.store)
        sent = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        store.request(self.command, self.path, body, sent | {"Host": self.headers["Host"]})
        got = store.getresponse()
        headers = [item for item in got.getheaders() if item[0].lower() not in HOP]
        content = got.read()
        store.close()
        if mishap is Mishap.LOST:
            self.hang_up()
        else:
            self.reply(got.status, headers, content, got.getheader("Content-Length"), mishap)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            """Trailers."""
        return found

    def reply(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        length: str | None = None,
        mishap: Mishap | None = None,
    ) -> None:
        is_head = self.command == "HEAD"
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", (length if is_head else None) or str(len(body)))
        self.end_headers()
        if is_head:
            return
        if mishap is Mishap.CUT:
            self.wfile.write(body[: len(body) // 2])
            self.hang_up()
            return
        pieces = 8 if mishap is Mishap.SLOW else 1
        size = len(body) // pieces + 1
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            if pieces > 1:
                self.wfile.flush()
                time.sleep(0.02)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running(endpoint: str) -> Iterator[Proxy]:
    """A proxy that answers until the block ends."""
    with Proxy(endpoint) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()
