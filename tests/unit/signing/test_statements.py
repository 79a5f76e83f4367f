"""What a signed statement says of the container image."""

from __future__ import annotations

import pytest

from slipway.signing.statements import image


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sha256:0123", {"digest": {"sha256": "0123"}}),
        ("0123", {"digest": {"sha256": "0123"}}),
        ("sha512:45", {"digest": {"sha512": "45"}}),
        (
            "registry.example.org:5000/shop@sha256:0123",
            {"uri": "registry.example.org:5000/shop", "digest": {"sha256": "0123"}},
        ),
    ],
    ids=["digest", "bare", "algorithm", "reference"],
)
def test_an_image_by_its_digest(given: str, expected: dict[str, object]) -> None:
    assert image(given) == {"name": "image", **expected}
