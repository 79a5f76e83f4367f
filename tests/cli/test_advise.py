"""``slipway advise``: what tables needed to be built, and which come to the limits of one machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.harness.projects import Workshop


def test_memory_is_known_of_tables_that_were_built_one_after_the_other(workshop: Workshop) -> None:
    assert "No table was built in 0 runs" in workshop.slipway("advise").err
    workshop.dbt("build")  # of which no memory is recorded
    done = workshop.slipway("advise")
    assert "tables is not known, because no slipway run built them while it built no other table" in done.err
    assert "not measured" in done.out
    workshop.run("--force", "--threads", "1")
    done = workshop.slipway("advise")
    assert done.err == "All tables that were built in 2 runs fit into memory: one machine is enough.\n"
    found = json.loads(workshop.slipway("advise", "-o", "json").out)
    assert {one["fit"] for one in found["tables"]} == {"fits"}
    assert {one["table"] for one in found["tables"]} == set(workshop.published())
    for one in found["tables"]:
        assert (one["builds"], one["measured"], one["spilled"]) == (2, 1, 0)
        assert 0 < one["share"] < 0.7
