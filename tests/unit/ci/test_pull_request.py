"""The comment of a pull request is one, whoever else writes there, and a text from a fork decides nothing but the text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from slipway.ci.pull_request import MARK, MOST, Repository, comment_of, pull_request_of, write_comment
from slipway.cli.comparisons import comment
from slipway.errors import UnavailableError, UsageError

COMMIT, OTHER = "c0ffee" + "0" * 34, "decade" + "0" * 34


class GitHub(ThreadingHTTPServer):
    """The part of GitHub's API that is used, for the repository ``ada/shop``; a hundred and fifty pull requests are open."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pulls = [{"number": number, "head": {"sha": f"{number:040x}"}} for number in range(1, 151)]
        self.pulls[120]["head"] = {"sha": COMMIT}
        self.comments: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.refuses = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def say(self, body: str, kind: str) -> None:
        number = len(self.comments) + 1
        self.comments.append({"id": number, "body": body, "user": {"type": kind}, "html_url": f"…/{number}"})


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def _answer(self, found: object, code: int = 200) -> None:
        content = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> str:
        length = int(self.headers["Content-Length"])
        assert self.headers["Authorization"] == "Bearer secret"
        return str(json.loads(self.rfile.read(length))["body"])

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        asked = parse_qs(address.query)
        first = (int(asked["page"][0]) - 1) * int(asked["per_page"][0])
        lists: dict[str, list[Any]] = {
            "/repos/ada/shop/pulls": self.server.pulls,
            "/repos/ada/shop/issues/121/comments": self.server.comments,
        }
        self._answer(lists[address.path][first : first + int(asked["per_page"][0])])

    def do_POST(self) -> None:
        self.server.asked.append(("POST", self.path))
        assert self.path == "/repos/ada/shop/issues/121/comments"
        if self.server.refuses:
            self._answer({"message": "Resource not accessible by integration"}, 403)
            return
        self.server.say(self._body(), "Bot")
        self._answer(self.server.comments[-1], 201)

    def do_PATCH(self) -> None:
        self.server.asked.append(("PATCH", self.path))
        comment = self.server.comments[int(self.path.rpartition("/")[2]) - 1]
        comment["body"] = self._body()
        self._answer(comment)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base class has it
        """Say nothing."""


@pytest.fixture
def github() -> Iterator[GitHub]:
    server = GitHub()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_written_once_and_then_anew(github: GitHub, tmp_path: Path) -> None:
    github.say("looks good", "User")
    github.say(f"{MARK}\nnot ours", "User")  # whoever copies the mark
    for number in range(120):
        github.say(f"build {number}", "Bot")
    file = tmp_path / "ci.md"
    variables = {"GITHUB_REPOSITORY": "ada/shop", "GITHUB_API_URL": github.url, "GITHUB_TOKEN": "secret"}
    for text in ("### first", "### second"):
        file.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(comment, [str(file), "--commit", COMMIT], env=variables)
        assert (done.exit_code, done.stdout) == (0, "…/123\n"), done.output
        assert github.comments[122]["body"] == f"{MARK}\n{text}"
    assert github.asked == [
        ("POST", "/repos/ada/shop/issues/121/comments"),
        ("PATCH", "/repos/ada/shop/issues/comments/123"),
    ]
    assert [one["body"] for one in github.comments[:2]] == ["looks good", f"{MARK}\nnot ours"]
    # a commit that was pushed over meanwhile is nobody's any more
    done = CliRunner().invoke(comment, [str(file), "--commit", OTHER], env=variables)
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert "No open pull request has decade000000 as its newest commit" in done.stderr
    assert len(github.comments) == 123


def test_a_token_that_may_not_write(github: GitHub) -> None:
    github.refuses = True
    at = Repository(github.url, "ada/shop", "secret")
    assert pull_request_of(at, COMMIT) == 121
    with pytest.raises(
        UnavailableError, match=r"GitHub does not answer POST .*403.*permissions of the token"
    ):
        write_comment(at, 121, "text")
    assert "secret" not in repr(at)


@pytest.mark.parametrize("name", ["shop", "ada/shop/issues/1", "ada/../x", "ada/shop?"])
def test_a_name_that_leads_elsewhere(name: str) -> None:
    with pytest.raises(UsageError, match="is no repository of GitHub"):
        Repository("https://api.github.com", name, "secret")


def test_a_commit_is_one() -> None:
    with pytest.raises(UsageError, match="main is no commit"):
        pull_request_of(Repository("https://api.github.com", "ada/shop", "secret"), "main")


def test_nobody_is_notified_and_nothing_is_too_long() -> None:
    assert comment_of("@ada and a@b.c") == f"{MARK}\n@\u200bada and a@\u200bb.c"
    long = comment_of("a line\n" * 20_000)
    assert len(long) <= MOST
    assert long.endswith(
        "a line\n\nThis comment is cut off here: the report of the workflow run has all of it.\n"
    )
