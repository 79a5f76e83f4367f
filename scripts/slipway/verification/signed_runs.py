"""The runs that made tables: their records, tests, commit and lock file, against what is signed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from slipway.code.git import call, resolve
from slipway.errors import DamagedError, NotFoundError, UnavailableError
from slipway.records.record_files import read_record
from slipway.records.run_manifest import RunManifest
from slipway.records.store import PROMOTIONS, Records, broken, why_missing
from slipway.secrets import hide_in
from slipway.signing.envelopes import SignedStatement
from slipway.signing.statements import LOCK, PROVENANCE, TEST_RESULT, test_result
from slipway.verification.links import Findings, Kind, State
from slipway.verification.signed_releases import SignedReleases, signed_records

_NAMED = 3


class SignedRuns:
    """The runs of an environment.

    Args:
        records: of the environment.
        project: folder of dbt_project.yml; None where there is none.
        signed: what is signed of releases.
        findings: get what was found.
    """

    def __init__(
        self, records: Records, project: Path | None, signed: SignedReleases, findings: Findings
    ) -> None:
        self._records, self._project = records, project
        self._signed, self._findings = signed, findings
        self._commits: dict[str, str] = {}

    def commit(self, run_id: str | None) -> str | None:
        """The commit that a run was made from, once the run was looked at; None where that is not known for certain."""
        return self._commits.get(run_id or "")

    def verify(self, run_id: str) -> None:
        """The run that made a table: its records, its tests and its code."""
        if not self._findings.is_new("run", run_id):
            return
        release = next((one for one in self._signed.releases if one.by_run and one.run_id == run_id), None)
        if release is None:
            self._promoted_run(run_id)
            return
        bundle = self._signed.bundle(release)
        if not bundle:
            self._findings.add(
                Kind.RUN, run_id, State.MISSING, f"no signature of release {release.number} that counts"
            )
            return
        if (manifest := self._manifest(run_id, bundle[PROVENANCE])) is None:
            return
        self._tests(run_id, manifest, bundle[TEST_RESULT])
        self._code(manifest)

    def _promoted_run(self, run_id: str) -> None:
        """A run of another environment, whose manifest came with a promotion and is signed with it."""
        for release in reversed(self._signed.releases):
            key = f"{PROMOTIONS}/{release.number:06d}/runs/{run_id}.json"
            if release.promoted is None or not self._records.has(key):
                continue
            self._signed.evidence(release)
            if not (bundle := self._signed.bundle(release)):
                why = f"no signature of release {release.number} that counts"
                self._findings.add(Kind.RUN, run_id, State.MISSING, why)
                return
            signed = signed_records(bundle[PROVENANCE])
            if why := self._signed.differs(key, signed.get(key, "")):
                self._findings.add(Kind.RUN, run_id, State.BROKEN, why)
                return
            manifest = read_record(self._records.store, RunManifest, key, run_id=run_id)
            came = f"it came with {release.promoted.described()}"
            self._findings.add(Kind.RUN, run_id, State.VERIFIED, f"by {manifest.who}; {came}")
            said = test_result(manifest)
            state = State.BROKEN if said["failedTests"] else State.VERIFIED
            note = f"{len(said['passedTests'])} passed, {len(said['failedTests'])} failed; {came}"
            self._findings.add(Kind.TESTS, run_id, state, note)
            self._code(manifest)
            return
        self._findings.add(Kind.RUN, run_id, State.MISSING, "no release was made by it")

    def _manifest(self, run_id: str, provenance: SignedStatement) -> RunManifest | None:
        """The run manifest, if all records of the run are what was signed."""
        try:
            if why := why_missing(self._records.store, run_id):
                self._findings.add(Kind.RUN, run_id, State.MISSING, why)
                return None
            signed = signed_records(provenance)
            whys = [why for key, sha256 in signed.items() if (why := self._signed.differs(key, sha256))]
            if not whys:
                whys = [f"{name}: {why}" for name, why in broken(self._records, run_id)]
            self._records.dbt_manifest(run_id)
            manifest = self._records.manifest(run_id)
        except DamagedError as error:
            self._findings.add(Kind.RUN, run_id, State.BROKEN, error.line())
            return None
        if whys or manifest is None:
            why = "; ".join(whys[:_NAMED]) or "it has no run manifest"
            self._findings.add(Kind.RUN, run_id, State.BROKEN, why)
            return None
        by = f"by {manifest.who}, {manifest.started_at:%Y-%m-%d %H:%M} UTC"
        self._findings.add(Kind.RUN, run_id, State.VERIFIED, by)
        return manifest

    def _tests(self, run_id: str, manifest: RunManifest, statement: SignedStatement) -> None:
        said = statement.predicate
        if said != hide_in(test_result(manifest)):
            self._findings.add(
                Kind.TESTS, run_id, State.BROKEN, "the run manifest has other results than were signed"
            )
            return
        counts = ((said["passedTests"], "passed"), (said["warnedTests"], "warned"))
        parts = [
            f"{len(tests)} {word}" for tests, word in (*counts, (said["not_run_tests"], "not run")) if tests
        ]
        if failed := said["failedTests"]:
            self._findings.add(Kind.TESTS, run_id, State.BROKEN, f"{len(failed)} failed")
        else:
            self._findings.add(Kind.TESTS, run_id, State.VERIFIED, ", ".join(parts) or "the run has no test")

    def _code(self, manifest: RunManifest) -> None:
        """Whether the commit and the lock file are in the repository of the project."""
        code, project = manifest.code, self._project
        name = (code.commit or "none")[:12]
        if code.unknown or code.commit is None or project is None:
            self._findings.add(Kind.COMMIT, name, State.MISSING, code.unknown or "there is no project")
        elif why := _unless(lambda: resolve(project, str(code.commit))):
            self._findings.add(Kind.COMMIT, name, State.MISSING, why)
        else:
            self._findings.add(Kind.COMMIT, name, State.VERIFIED)
            self._commits[manifest.run_id] = code.commit
        self._lock(name, code.commit, manifest.versions.lock_sha256)

    def _lock(self, name: str, commit: str | None, recorded: str | None) -> None:
        """Whether a commit holds the lock file that a run recorded, or none where it recorded none."""
        held = call(self._project, "show", f"{commit}:./{LOCK}") if commit and self._project else None
        is_held = held is not None and held.returncode == 0
        if recorded is None and is_held:
            why = f"commit {name} holds one, and the run had none"
            self._findings.add(Kind.LOCK, LOCK, State.BROKEN, why)
        elif recorded is None:
            why = f"the run had no {LOCK}; the versions of its packages are signed, their content is not"
            self._findings.add(Kind.LOCK, LOCK, State.NOT_RECORDED, why)
        elif held is None:
            self._findings.add(Kind.LOCK, LOCK, State.MISSING, "no commit is known that could hold it")
        elif not is_held:
            self._findings.add(Kind.LOCK, LOCK, State.MISSING, f"commit {name} does not hold it")
        elif hashlib.sha256(held.stdout).hexdigest() != recorded:
            self._findings.add(Kind.LOCK, LOCK, State.BROKEN, f"commit {name} holds another one")
        else:
            self._findings.add(Kind.LOCK, LOCK, State.VERIFIED)


def _unless(ask: Callable[[], object]) -> str:
    try:
        ask()
    except (NotFoundError, UnavailableError) as error:
        return error.why or error.what
    return ""
