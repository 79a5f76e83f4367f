"""A receiver of OpenTelemetry's OTLP over HTTP, on this machine."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Collector:
    """What was sent last, by path, with which headers, and how it is answered."""

    def __init__(self) -> None:
        self.got: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.status = 200


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """A receiver, and its endpoint."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got[self.path] = (
                gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            )
            found.headers |= dict(self.headers.items())
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
