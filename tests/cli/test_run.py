"""``slipway run``."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Workshop


def test_first(workshop: Workshop) -> None:
    import time
    t=time.time()
    m = workshop.run()
    t1=time.time()
    m = workshop.run()
    print(t1-t, time.time()-t1)
    assert m["outcome"] == "unchanged"
