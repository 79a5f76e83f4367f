"""The store and the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime

from slipway.adapters.health.examination import Examination
from slipway.adapters.releases import check_store
from slipway.adapters.s3 import answering, is_s3, s3_access, split
from slipway.domain.health import Finding

_APART = timedelta(minutes=1)


def conditional_writes(at: Examination) -> Iterator[Finding]:
    """A store that does not keep what is written once."""
    if at.has_no_catalog:  # which is told, and whoever asks for its kind would make it
        return
    if told := check_store(at.tables, at.records):
        what, _, fix = told.partition(": ")
        yield Finding(at.records.store.root, what.removeprefix(f"{at.records.store.root} "), fix)


def clock(at: Examination) -> Iterator[Finding]:
    """A clock that disagrees with the store's, or with the newest release."""
    if is_s3(at.environment.warehouse):
        bucket, _ = split(at.environment.warehouse)
        with answering(at.environment.warehouse):
            answer = s3_access(at.environment.catalog_properties).client.list_objects_v2(
                Bucket=bucket, MaxKeys=1
            )
        theirs = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        if abs(apart := theirs - at.now) > _APART:
            yield _wrong(f"the store's clock says {theirs:%Y-%m-%d %H:%M:%S} UTC, {abs(apart)} from it")
    newest = max((release.published_at for release in at.releases[0]), default=at.now)
    if newest - at.now > _APART:
        yield _wrong(
            f"the newest release was published at {newest:%Y-%m-%d %H:%M:%S} UTC, which is in the future"
        )


def _wrong(what: str) -> Finding:
    return Finding(
        "clock of this machine", what, "set it: releases are ordered by time, and landed files are dated"
    )
