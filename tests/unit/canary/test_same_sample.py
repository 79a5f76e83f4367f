"""Two samples are compared only if both versions took the same rows of every input that both read."""

from __future__ import annotations

import pytest
from tests.harness.records import manifest

from slipway.canary.samples import same_sample
from slipway.errors import SlipwayError
from slipway.records.run_manifest import RunManifest, Sample, SampledInput


def sampled(**keys: str) -> RunManifest:
    """A run whose models, by name, took raw.orders by a key, or whole where it is empty."""
    inputs = [
        SampledInput(table="raw.orders", key=[key] if key else [], models=[model])
        for model, key in keys.items()
    ]
    return manifest().model_copy(update={"sample": Sample(share="5%", rows=1, inputs=inputs)})


@pytest.mark.parametrize(
    ("base", "head"),
    [
        (sampled(orders="account"), sampled(orders="account")),
        (sampled(orders="account"), sampled(renamed="account")),
        (sampled(orders="account"), sampled(orders="account", added="")),
        (sampled(orders="account", removed=""), sampled(orders="account")),
        (sampled(), sampled(orders="account")),
        (None, sampled(orders="account")),
    ],
    ids=["the same", "renamed", "a model more", "a model less", "an input more", "one side"],
)
def test_the_same_rows(base: RunManifest | None, head: RunManifest) -> None:
    assert same_sample(base, head) == head.sample


def test_no_sample() -> None:
    assert same_sample(manifest(), manifest()) is None


@pytest.mark.parametrize(
    ("base", "head", "why"),
    [
        (sampled(orders="account"), sampled(orders="depot"), "taken by account in base and by depot in head"),
        (sampled(orders=""), sampled(orders="depot"), "taken whole in base and by depot in head"),
        (
            sampled(orders="account"),
            sampled(renamed="depot"),
            "taken by account in base and by depot in head",
        ),
        (manifest(), sampled(orders="account"), "base took none"),
        (sampled(orders="account"), manifest(), "head took none"),
    ],
    ids=["another key", "no key in base", "renamed with another key", "none in base", "none in head"],
)
def test_other_rows_are_refused(base: RunManifest, head: RunManifest, why: str) -> None:
    with pytest.raises(SlipwayError, match=f"The two samples cannot be compared: .*{why}"):
        same_sample(base, head)
