"""People with keys, who make, approve and carry out plans of promotions in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.harness.keys import MadeKey
from tests.harness.promotions import Stand

from slipway.promotion.approving import Explained, check_approver, explain, give, withdraw
from slipway.promotion.planning import keep

CI = MadeKey("ci")
ADA = MadeKey("ada-laptop", "ada@example.org", ["release-manager"])
ADA_TOKEN = MadeKey("ada-token", " Ada@Example.org", ["release-manager", "data-owner"])
BOB = MadeKey("bob", "bob@example.org", ["data-owner"])
EVE = MadeKey("eve", "eve@example.org")
EVERYBODY = (CI, ADA, ADA_TOKEN, BOB, EVE)
POLICY = """
environments:
  prod: {{from: [staging], approvals: {approvals}}}
"""
ORDERS = {"table": "serving.orders", "sql": "select i as id from range(3) t(i)"}


class Office(Stand):
    """A stand whose people have keys."""

    monkeypatch: pytest.MonkeyPatch

    @contextmanager
    def by(self, key: MadeKey | None) -> Iterator[None]:
        """Whose key signs."""
        with self.monkeypatch.context() as patched:
            patched.setenv("SLIPWAY_SIGNING_KEY", key.private if key else "none")
            yield

    def policy(self, approvals: str) -> None:
        self.write("promotion.yml", POLICY.format(approvals=approvals))

    def plan(self, by: MadeKey | None = CI) -> str:
        with self.by(by):
            proposal = self.proposal()
            keep(proposal)
        return proposal.plan.plan_id

    def approve(self, plan_id: str, by: MadeKey | None, reason: str = "") -> bool:
        with self.by(by):
            return give(*check_approver(self.project, "prod", plan_id), reason)

    def withdraw(self, plan_id: str, by: MadeKey) -> bool:
        with self.by(by):
            return withdraw(self.project, "prod", plan_id, "")[1]

    def carry_out(self, plan_id: str, by: MadeKey | None = CI) -> int:
        with self.by(by):
            return self.carried_out(plan_id).number

    def explained(self, plan_id: str) -> Explained:
        return explain(self.project, "prod", plan_id)

    def why(self, plan_id: str) -> dict[str, str]:
        """Why an approval does not count, by name of its key."""
        return {one.name: one.why_not for one in self.explained(plan_id).judgement.approvals}

    def files(self, plan_id: str) -> Path:  # type: ignore[override]
        return self.folder / "prod/_slipway/plans" / plan_id
