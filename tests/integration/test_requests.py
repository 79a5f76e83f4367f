"""Requests to the object store: how many a model costs, and that other tables cost none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import boto3
import pytest
from tests.harness.environments import Place, place
from tests.harness.proxy import Proxy, running

from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.iceberg.tables import Tables
from slipway.releases.candidates import record_of
from slipway.sql_text import literal
from slipway.storage.locations import duckdb_path

pytestmark = pytest.mark.server


@pytest.fixture
def proxy(endpoint: str) -> Iterator[Proxy]:
    with running(endpoint) as made:
        yield made


def counted(proxy: Proxy) -> Counter[str]:
    """Requests by method since the last count; those that list objects apart."""
    found = Counter("LIST" if "list-type" in path else method for method, path in proxy.log)
    proxy.log.clear()
    return found


class Model:
    """A table that is staged again and again, as a run does it for one model."""

    def __init__(self, place: Place, proxy: Proxy) -> None:
        self.place, self.proxy, self.base, self.runs = place, proxy, "", 0

    def build(self, strategy: str = "replace", files: int = 1, columns: str = "") -> Counter[str]:
        """Requests from loading the table to the view that shows it to the rest of the run."""
        self.runs += 1
        place, run_id = self.place, f"20240501T0000{self.runs:02d}Z-0000abcd"
        place.restart()
        identifier = place.id("raw.t")
        request = WriteRequest(
            identifier,
            f"select {self.runs} as n, i as part{columns} from range({files}) as r(i)",
            strategy,
            run_id,
            f"release-{self.runs}",
            partitioned_by=["part"],
        )
        place.records.write(run_id, "began", "")  # what a run asks once is not of the model
        counted(self.proxy)
        base = place.tables.load(identifier, self.base) if self.base else None
        staged = write(place.connection, place.tables, base, request).staged
        place.records.write(run_id, "candidate/t.json", record_of(staged, self.runs))
        self.base = staged.table.metadata_location
        scan = f"iceberg_scan({literal(duckdb_path(self.base))})"
        place.connection.execute(f"create or replace view t as from {scan}")
        return counted(self.proxy)


@pytest.fixture
def model(bucket: dict[str, str], proxy: Proxy) -> Iterator[Model]:
    properties = {**bucket, "s3.endpoint": proxy.address}
    made = place("s3://catalogs", type="sql", uri="sqlite://", **properties)
    yield Model(made, proxy)
    made.connection.close()


# staged: manifest, manifest list, metadata file, record of the candidate
WRITTEN = 4
# for the view DuckDB asks how long the metadata file is and reads it, the manifest list and the manifest
VIEW = {"HEAD": 1, "GET": 3}


@pytest.mark.parametrize(
    ("strategy", "read"),
    [
        pytest.param("replace", 1, id="replace: metadata", marks=pytest.mark.long),
        pytest.param("append", 2, id="append: metadata and manifest list", marks=pytest.mark.long),
    ],
)
def test_a_model_costs_the_same_however_long_its_history(model: Model, strategy: str, read: int) -> None:
    # each data file is written, and once asked for and read for the digest
    first = model.build()
    assert first == {"PUT": WRITTEN + 1, "HEAD": VIEW["HEAD"] + 1, "GET": VIEW["GET"] + 1, "LIST": 1}
    costs = [model.build(strategy) for _ in range(14)]
    assert costs[0] == first + Counter({"GET": read})
    assert costs == costs[:1] * 14


@pytest.mark.long
def test_each_file_costs_the_same(model: Model) -> None:
    model.build()
    one, ten = model.build(files=1), model.build(files=10)
    assert ten - one == Counter({"PUT": 9, "HEAD": 9, "GET": 9})
    # only of the names that this write has: what is there is compared with what DuckDB returned
    assert ten["LIST"] == 1


@pytest.mark.long
def test_a_file_with_floats_is_asked_for_once_more(model: Model) -> None:
    # its footer is read to see whether there may be NaN, and what was read then is not read again for the digest
    floats = ", i::float as f, i / 3 as d"
    for files in (1, 10):
        model.build(files=files)
        plain, more = model.build(files=files), model.build(files=files, columns=floats)
        assert more - plain == Counter({"HEAD": files})
        assert more.total() == plain.total() + files


@pytest.mark.long
def test_listing_glue_opens_no_metadata(bucket: dict[str, str], proxy: Proxy) -> None:
    made = place("s3://catalogs", type="glue", **{**bucket, "s3.endpoint": proxy.address})
    made.publish(raw_a=1, raw_b=1, serving_c=1)
    counted(proxy)
    found = Tables(made.environment).locations()
    assert {name for name in found if name[0].startswith(made.prefix)} == {
        made.id("raw.a"),
        made.id("raw.b"),
        made.id("serving.c"),
    }
    assert counted(proxy) == Counter()
    made.connection.close()
    client = boto3.session.Session(region_name="us-east-1").client("glue")
    for database in client.get_databases()["DatabaseList"]:
        client.delete_database(Name=database["Name"])


def test_a_release_opens_the_tables_that_it_moved(model: Model, proxy: Proxy) -> None:
    made = model.place
    made.publish(raw_a=1, raw_b=1, raw_c=1, raw_d=1)
    publish = made.stage(raw_b=2)
    proxy.log.clear()
    publish()
    opened = [path for method, path in proxy.log if method == "GET" and path.endswith(".metadata.json")]
    assert opened == []  # the base was opened to stage on top of it
