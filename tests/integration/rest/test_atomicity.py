"""What a request for several tables is worth with real servers, tried with nothing of slipway.

These are the experiments of docs/decisions/0024-what-a-rest-server-promises.md.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
from requests import Response
from tests.integration.rest.programs import Programs, Served, reference

pytestmark = [pytest.mark.server, pytest.mark.long]
COUNT = 20
SCHEMA = Schema(NestedField(1, "n", LongType()))
PROMPT = 90  # seconds


class Tables:
    """Twenty tables with a number each, as a property; one request raises all numbers."""

    def __init__(self, server: Served, bucket: dict[str, str], space: str) -> None:
        self.catalog: Any = load_catalog("any", type="rest", uri=server.uri, **bucket)
        self.space, self.names = space, [f"t{number:02d}" for number in range(COUNT)]
        self.catalog.create_namespace(space)
        self.uuids = {name: self._made(name) for name in self.names}

    def _made(self, name: str) -> str:
        location = f"s3://catalogs/{self.space}/{name}"
        table = self.catalog.create_table(
            (self.space, name), SCHEMA, location=location, properties={"n": "0"}
        )
        return str(table.metadata.table_uuid)

    def raise_to(self, value: int, **uuids: str) -> Response:
        """Send the request; another uuid than a table's own makes it one that must be refused."""
        changes: list[Any] = [
            {
                "identifier": {"namespace": [self.space], "name": name},
                "requirements": [{"type": "assert-table-uuid", "uuid": uuids.get(name, uuid)}],
                "updates": [{"action": "set-properties", "updates": {"n": str(value)}}],
            }
            for name, uuid in self.uuids.items()
        ]
        url = self.catalog.url("transactions/commit")
        return requests.post(url, json={"table-changes": changes}, timeout=PROMPT)

    def number(self, name: str) -> int:
        return int(self.catalog.load_table((self.space, name)).properties["n"])

    def numbers(self) -> set[int]:
        return {self.number(name) for name in self.names}

    def mixtures(self, value: int) -> int:
        """How often a reader finds a table as it was, after it found another one changed by the same request."""
        answers: list[Response] = []
        asking = threading.Thread(target=lambda: answers.append(self.raise_to(value)))
        asking.start()
        found = 0
        while asking.is_alive():
            first = self.number(self.names[0])
            found += first == value > self.number(self.names[-1])
        asking.join()
        assert answers[0].ok, answers[0].text
        assert self.numbers() == {value}
        return found


@pytest.fixture
def on_reference(reference_server: Served, bucket: dict[str, str]) -> Tables:
    return Tables(reference_server, bucket, f"s{time.time_ns()}")


@pytest.fixture
def on_nessie(nessie_server: Served, bucket: dict[str, str]) -> Tables:
    return Tables(nessie_server, bucket, f"s{time.time_ns()}")


@pytest.fixture(params=["on_reference", "on_nessie"])
def tables(request: pytest.FixtureRequest) -> Tables:
    found: Tables = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("at", ["t00", "t10", "t19"])
def test_a_request_with_a_conflict_changes_nothing_on_either(tables: Tables, at: str) -> None:
    """So a trial with a conflict does not tell a server that is atomic from one that is not."""
    answer = tables.raise_to(1, **{at: "00000000-0000-0000-0000-000000000000"})
    assert answer.status_code == 409, answer.text
    assert tables.numbers() == {0}


def test_readers_see_a_mixture_with_the_reference_server(on_reference: Tables) -> None:
    assert "POST /v1/{prefix}/transactions/commit" in map(str, on_reference.catalog._supported_endpoints)
    assert on_reference.mixtures(1) > 0


def test_readers_never_see_a_mixture_with_nessie(on_nessie: Tables) -> None:
    assert [on_nessie.mixtures(value) for value in range(1, 6)] == [0] * 5


def test_the_reference_server_killed_in_a_request_leaves_a_part(
    rest_programs: Programs, endpoint: str, bucket: dict[str, str], tmp_path: Path
) -> None:
    server = reference(rest_programs, endpoint, tmp_path)
    try:
        tables = Tables(server, bucket, f"s{time.time_ns()}")
        asking = threading.Thread(target=_unanswered, args=(tables,))
        asking.start()
        while tables.number(tables.names[2]) == 0:
            time.sleep(0.001)
        server.kill()
        asking.join()
        server.start()
        assert tables.numbers() == {0, 1}
    finally:
        server.kill()


def _unanswered(tables: Tables) -> None:
    with pytest.raises(requests.ConnectionError):
        tables.raise_to(1)
