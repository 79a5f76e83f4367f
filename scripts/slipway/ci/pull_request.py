"""The comment of a pull request on GitHub: one, found by a mark in it, and written anew each time.

It is written by a process that has a token, in a workflow of the base branch, from a file of one that had none. So the file decides nothing but the text:
which pull request it belongs to is asked of GitHub, by the commit that GitHub says was built.

Source: GitHub REST API, "List pull requests", "List issue comments", "Create an issue comment", "Update an issue comment".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from slipway.errors import UnavailableError, UsageError, first_line

MARK = "<!-- slipway ci -->"
"""First line of the comment, by which it is found again."""
MOST = 65_536
"""Characters of a comment: GitHub refuses a longer one."""
_TIMEOUT = 30  # seconds
_PAGE = 100
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# "@name" in a comment of an app notifies people; a sign of no width keeps it from being a name
_MENTION = re.compile(r"@(?=[\w-])")


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub.

    Args:
        api: address of the API, without a slash at its end.
        name: ``owner/name``.
        token: that may write comments of pull requests.
    """

    api: str
    name: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.name):
            raise UsageError(f"{self.name} is no repository of GitHub", "", "Write owner/name")

    def ask(self, path: str, body: dict[str, str] | None = None, method: str = "GET") -> Any:
        """An answer of the API.

        Raises:
            UnavailableError: it refuses or does not answer.
        """
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        try:
            answer = requests.request(
                method,
                f"{self.api}/repos/{self.name}/{path}",
                json=body,
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            raise UnavailableError(
                f"GitHub does not answer {method} {path}",
                first_line(error),
                "Check the permissions of the token, and run again",
            ) from error

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """All items of a list."""
        number, more = 1, True
        while more:
            found = self.ask(f"{path}{'&' if '?' in path else '?'}per_page={_PAGE}&page={number}")
            yield from found
            number, more = number + 1, len(found) == _PAGE


def pull_request_of(repository: Repository, commit: str) -> int | None:
    """The open pull request whose newest commit is one, also if it is a fork's; None where there is none any more."""
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"{commit} is no commit", "", "Write all of its characters")
    found = (one for one in repository.pages("pulls?state=open") if one["head"]["sha"] == commit)
    return next((int(one["number"]) for one in found), None)


def write_comment(repository: Repository, number: int, text: str) -> str:
    """Write the comment of a pull request, or put a new text into the one that is there.

    Returns:
        Its address.
    """
    body = {"body": comment_of(text)}
    for one in repository.pages(f"issues/{number}/comments"):
        if one["user"]["type"] == "Bot" and one["body"].startswith(MARK):
            return str(repository.ask(f"issues/comments/{int(one['id'])}", body, "PATCH")["html_url"])
    return str(repository.ask(f"issues/{number}/comments", body, "POST")["html_url"])


def comment_of(text: str) -> str:
    """A text as a comment: it mentions nobody, and is cut where GitHub would refuse it."""
    plain = _MENTION.sub("@\u200b", text)
    whole = f"{MARK}\n{plain}"
    if len(whole) <= MOST:
        return whole
    said = "\n\nThis comment is cut off here: the report of the workflow run has all of it.\n"
    return whole[: MOST - len(said)].rpartition("\n")[0] + said
