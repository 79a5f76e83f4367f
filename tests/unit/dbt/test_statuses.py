"""Each status that dbt may give to a node can be written down."""

from __future__ import annotations

from dbt.artifacts.schemas.results import NodeStatus, RunStatus, TestStatus

from slipway.records.node_results import Change, Node, Status


def test_dbts_statuses_are_known() -> None:
    of_dbt = {str(status) for kind in (NodeStatus, RunStatus, TestStatus) for status in kind}
    assert of_dbt | {"", "not run"} == set(Status)


def test_they_are_written_as_text() -> None:
    written = '"status":"runtime error","change":"same_content"'
    node = Node(
        unique_id="model.p.a", table=None, status=Status.RUNTIME_ERROR, change=Change.SAME_CONTENT
    ).model_copy(update={"seconds": 1.0})
    assert written in node.model_dump_json()
    again = Node.model_validate_json(node.model_dump_json())
    assert (again.status, again.change) == (Status.RUNTIME_ERROR, Change.SAME_CONTENT)
