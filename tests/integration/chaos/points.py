"""Places in a command where it is killed: each is a function around whose nth call that happens.

``os:link`` is how a record becomes visible in a folder, so its calls are the records one after the other.
"""

from __future__ import annotations

LANDING = {
    "looking at a file": ("slipway.landing.feed_files:FeedFiles.look", 1),
    "counting its rows": ("slipway.landing.feed_files:FeedFiles.check", 1),
    "the ledger": ("slipway.landing.ledger:Ledger._append", 1),
    "the ledger's commit": ("pyiceberg.catalog.sql:SqlCatalog.commit_table", 1),
}
STAGING = {
    "a number": ("slipway.records.store:Records.reserve", 1),
    "data files": ("slipway.engines.duckdb.copying:_Copy._execute", 4),
    "a manifest": ("pyiceberg.manifest:ManifestWriter.__exit__", 6),
    "a manifest list": ("pyiceberg.manifest:ManifestListWriter.__exit__", 5),
    "a metadata file": ("slipway.iceberg.tables:Tables.stage", 4),
    "a candidate's record": ("slipway.runs.run_candidate:RunCandidate.stage", 4),
}
PUBLISHING = {
    "the end of dbt": ("slipway.dbt.session:conclude", 1),
    "the intent": ("slipway.records.store:Records.write_intent", 1),
    "publishing": ("slipway.releases.publication:publish", 1),
    "a row of the transaction": ("sqlalchemy.orm:Session.execute", 9),
    "a commit": ("sqlalchemy.orm:Session.commit", 2),
}
RECORDING = {
    "the release record": ("slipway.records.store:Records.write_release", 1),
    "the cut": ("slipway.releases.publication:shown", 1),
    "the run's records": ("slipway.runs.end:_write_records", 1),
    "the log": ("slipway.dbt.event_stream:EventStream.close", 1),
    "any record": ("os:link", 11),
    "any record on the disk": ("os:fsync", 11),
}
RUN = LANDING | STAGING | PUBLISHING | RECORDING
HEALING = {
    "healing": ("slipway.runs.pinned_tables:heal", 1),
    "what became of it": ("slipway.releases.publication:positions", 1),
    "its record": ("slipway.releases.publication:_record", 1),
    "the first record": ("os:link", 1),
}
ROLLBACK = {
    "staging a state": ("slipway.releases.roll_back:stage_state", 4),
    "its record": ("slipway.records.store:Records.write_rollback", 4),
    "the intent": ("slipway.records.store:Records.write_intent", 1),
    "a row of the transaction": ("sqlalchemy.orm:Session.execute", 8),
    "the commit": ("sqlalchemy.orm:Session.commit", 1),
    "the release record": ("slipway.records.store:Records.write_release", 1),
    "any record": ("os:link", 7),
}
