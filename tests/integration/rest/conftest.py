"""REST catalog servers, one of each per worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.rest import programs
from tests.integration.rest.programs import Programs, Served
from tests.integration.s3.conftest import new_lake


@pytest.fixture(scope="session")
def rest_programs(request: pytest.FixtureRequest) -> Programs:
    cache = request.config.cache
    assert cache is not None
    return programs.obtain(cache.mkdir("rest-servers"))


@pytest.fixture(scope="module")  # a catalog is of one warehouse
def reference_server(
    rest_programs: Programs, endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    started = programs.reference(rest_programs, endpoint, tmp_path_factory.mktemp("reference"))
    yield started
    started.kill()


@pytest.fixture(scope="module")
def nessie_server(
    rest_programs: Programs, endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    started = programs.nessie(rest_programs, endpoint, tmp_path_factory.mktemp("nessie"))
    yield started
    started.kill()


__all__ = ["new_lake"]
