"""Processor time of nodes that ran while no other did, and of no others."""

from __future__ import annotations

import time

from slipway.dbt.processor_time import ProcessorTime


def work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_node_has_the_time_that_it_took() -> None:
    used = ProcessorTime()
    used.started("a")
    work(0.05)
    time.sleep(0.05)  # takes no processor
    used.ended("a")
    used.started("b")
    used.ended("b")
    assert 0.05 <= used.seconds["a"] < 0.5
    assert 0 <= used.seconds["b"] < used.seconds["a"]
    assert used.total >= used.seconds["a"]
    assert used.peak_memory > 10 << 20


def test_nodes_that_ran_at_the_same_time_have_none() -> None:
    used = ProcessorTime()
    used.started("a")
    used.started("b")
    used.ended("a")
    used.started("c")
    used.ended("b")
    used.ended("c")
    used.started("d")
    used.ended("d")
    assert used.seconds.keys() == {"d"}


def test_batches_belong_to_their_node() -> None:
    used = ProcessorTime()
    used.started("a")
    used.started("a")
    used.ended("a")
    assert used.seconds == {}
    used.ended("a")
    used.ended("a")
    used.ended("never began")
    assert used.seconds.keys() == {"a"}
