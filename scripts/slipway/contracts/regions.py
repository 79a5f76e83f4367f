"""``regions`` of a contract, compared with where an environment keeps the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slipway.contracts.contract_files import Reading
from slipway.contracts.problems import Problem
from slipway.contracts.products import is_product


@dataclass(frozen=True)
class Kept:
    """Where an environment keeps data.

    Args:
        target: the environment.
        warehouse: a URI.
        landing: a URI.
        region: of its store, as its settings name it; None where they do not.
    """

    target: str
    warehouse: str
    landing: str
    region: str | None


def with_regions(readings: list[Reading], kept: Kept) -> tuple[list[Reading], dict[str, str]]:
    """Readings of contracts with the places that are outside of their regions added to their problems.

    The warehouse holds the rows of every contract, and the landing area the files of a feed. Only S3 has regions.

    Returns:
        The readings; and by the name of the file why a contract's regions could not be checked.
    """
    found, unknown = [], {}
    for reading in readings:
        places = _places(reading, kept)
        if places and kept.region is None:
            unknown[reading.path.name] = (
                f"regions cannot be checked: target {kept.target} does not say in which region {' and '.join(places)} "
                f"{'is' if len(places) == 1 else 'are'}; set AWS_REGION, or s3.region of its catalog"
            )
            places = {}
        found.append(reading.with_problems(_outside(reading, places, kept)) if places else reading)
    return found, unknown


def _places(reading: Reading, kept: Kept) -> dict[str, str]:
    contract = reading.contract
    if contract is None or not contract.settings.regions:
        return {}
    places = {"the warehouse": kept.warehouse}
    if not is_product(contract):
        places["the landing area"] = kept.landing
    return {name: uri for name, uri in places.items() if uri.partition("://")[0] in ("s3", "s3a", "s3n")}


def _outside(reading: Reading, places: Mapping[str, str], kept: Kept) -> Iterator[Problem]:
    assert reading.contract
    assert reading.text
    allowed = reading.contract.settings.regions
    if kept.region is None or kept.region.casefold() in (one.casefold() for one in allowed):
        return
    properties = reading.text.value["customProperties"]
    at = next(index for index, item in enumerate(properties) if item["property"] == "regions")
    for name, uri in places.items():
        yield Problem(
            ("customProperties", at, "value"),
            f"allows {', '.join(allowed)}, and {name} of target {kept.target}, {uri}, is in {kept.region}",
            "Keep the data in a region that is allowed, or have the owner of the contract allow this one",
        )
