"""The same releases as in every other kind of catalog, with Iceberg's reference server and S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.harness.environments import Place, place
from tests.integration.rest.programs import Served
from tests.integration.test_catalogs import (
    ONE,
    TWO,
    killed_at,
    test_a_dropped_table_refuses_all_of_it,
    test_a_foreign_commit_refuses_all_of_it,
    test_a_table_that_someone_else_made_is_not_touched,
    test_releases_are_published_and_recorded,
)
from tests.integration.test_rest_catalog import test_a_foreign_property_commit_stays

from slipway.errors import ConflictError, UnavailableError
from slipway.iceberg.catalogs.movers import UpdateMover
from slipway.iceberg.catalogs.rest_catalog import RestMover, ServedCatalog
from slipway.records.store import Records

pytestmark = [pytest.mark.server, pytest.mark.long]

__all__ = [
    "test_a_dropped_table_refuses_all_of_it",
    "test_a_foreign_commit_refuses_all_of_it",
    "test_a_foreign_property_commit_stays",
    "test_a_table_that_someone_else_made_is_not_touched",
    "test_releases_are_published_and_recorded",
]


@pytest.fixture
def anywhere(reference_server: Served, bucket: dict[str, str]) -> Iterator[Place]:
    made = place("s3://catalogs", type="rest", uri=reference_server.uri, **bucket)
    yield made
    made.connection.close()


@pytest.fixture
def of_each_kind(anywhere: Place) -> Place:
    """What those tests take a catalog of each kind for."""
    return anywhere


@pytest.fixture
def rest(anywhere: Place) -> Place:
    return anywhere


def test_the_guarantee_says_what_happened(rest: Place) -> None:
    assert rest.publish(**ONE).guarantee.startswith(
        "one table after the other"
    )  # it makes no tables by requests
    assert rest.publish(raw_a=2, raw_b=2).guarantee.startswith(
        "all tables in one request, finished or undone"
    )


KILLS = [
    pytest.param(ServedCatalog, "commit_several", 1, 0, id="before the request for all"),
    pytest.param(ServedCatalog, "commit_several", 2, 0, id="before the request for those that exist"),
    pytest.param(RestMover, "forward", 1, 3, id="before the new one"),
    pytest.param(Records, "write_release", 1, 4, id="before the record"),
]


@pytest.mark.parametrize(("owner", "function", "call", "moved"), KILLS)
def test_a_publication_that_died_is_finished(
    rest: Place, owner: type, function: str, call: int, moved: int
) -> None:
    rest.publish(**ONE)
    killed_at(owner, function, call, rest.stage(**TWO))
    assert list(rest.numbers().values()).count(2) == moved
    assert rest.visible() == (TWO if moved == len(TWO) else ONE)
    message = rest.heal()
    assert len(message) == (moved > 0)
    assert rest.numbers() == (TWO if moved else ONE) == rest.visible()
    assert rest.heal() == []
    assert rest.publish(raw_a=3, raw_b=3).number == 3


def test_a_publication_that_died_is_taken_back(rest: Place) -> None:
    rest.publish(**ONE)
    killed_at(RestMover, "forward", 1, rest.stage(**TWO))
    theirs = rest.catalog().load_table(rest.id("raw.c"))
    location = f"{rest.environment.warehouse}/theirs"
    rest.catalog().create_table(rest.id("raw.d"), theirs.schema(), location).append(theirs.scan().to_arrow())
    killed_at(UpdateMover, "back", 2, rest.heal)  # and so does the one that takes it back
    assert "taken back" in rest.heal()[0]
    assert rest.numbers() == {**ONE, "raw_d": 2}  # what they took from raw.c while it showed the release
    assert rest.catalog().load_table(rest.id("raw.a")).metadata.refs.keys() == {"main", "release-1"}


def test_two_publications_at_once(rest: Place) -> None:
    rest.publish(**ONE)
    first = rest.stage(raw_a=2, raw_b=2)
    second = rest.stage(raw_b=3, raw_c=3)
    assert second().number == 3
    rest.restart()
    with pytest.raises(ConflictError, match=r"raw\.b moved"):
        first()
    assert rest.numbers() == {"raw_a": 1, "raw_b": 3, "raw_c": 3}


def test_a_server_that_is_killed_and_comes_back(rest: Place, reference_server: Served) -> None:
    rest.publish(**ONE)
    publish = rest.stage(**TWO)
    reference_server.kill()
    try:
        with pytest.raises(UnavailableError, match=r"^Catalog of staging cannot be written: "):
            publish()
    finally:
        reference_server.start()
    assert rest.numbers() == ONE == rest.visible()
    assert rest.publish(**TWO).number == 3
    assert rest.numbers() == TWO


def test_nessie_is_refused_before_anything_is_published(
    nessie_server: Served, bucket: dict[str, str]
) -> None:
    made = place("s3://catalogs", type="rest", uri=nessie_server.uri, warehouse="lake", **bucket)
    with pytest.raises(UnavailableError, match=r"^Cannot publish to staging: Nessie keeps neither tags nor"):
        made.publish(**ONE)
    assert made.numbers() == {}
    made.connection.close()


def test_nessie_keeps_neither_tags_nor_earlier_snapshots(
    nessie_server: Served, bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why it is refused; once this fails, it need not be."""
    monkeypatch.setattr(ServedCatalog, "is_nessie", False)
    made = place("s3://catalogs", type="rest", uri=nessie_server.uri, warehouse="lake", **bucket)
    made.publish(**ONE)  # new tables are registered with the metadata files that were staged
    with pytest.raises(
        UnavailableError, match=r"was published without its tag release-2: the server does not"
    ):
        made.publish(raw_a=2, raw_b=2)
    made.commit("raw.a")
    held = made.catalog().load_table(made.id("raw.a")).metadata
    assert (held.refs.keys(), len(held.snapshots)) == ({"main"}, 1)
    made.connection.close()
