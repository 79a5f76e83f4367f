"""A check renders nodes with what all of them have in common: each comes to the text that dbt gives it alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.harness.projects import Project

_RENDERED = """
import json
from pathlib import Path
from slipway.check.project_check import ProjectCheck
from slipway.dbt.code_only import code_only
from slipway.dbt.compiled import compiled
from slipway.dbt.stubs import Stubs
from slipway.errors import ConfigError

found, stubs = {}, Stubs()
with code_only(Path.cwd(), None, stubs) as code:
    check = ProjectCheck(Path.cwd(), code)
    check.whole()  # the tables have columns then
    for unique_id, node in check.nodes.items():
        if node.resource_type == "seed" or getattr(node, "language", "sql") == "python":
            continue
        for incremental in (False, True):
            try:
                in_turn = code.query(unique_id, incremental=incremental)
            except ConfigError as error:
                in_turn = str(error)
            stubs.begin(incremental=incremental)
            try:
                alone = compiled(code.manifest, unique_id)
            except Exception as error:
                alone = str(ConfigError(str(getattr(error, "msg", None) or error)))
            found[f"{unique_id} {incremental}"] = in_turn, alone
print(json.dumps(found))
"""
_MODELS = {
    "leaves": "{% do context.update({'left': 1}) %}{% do dbt.update({'left': 1}) %}{% set own = 1 %}select 1 as one",
    "finds": "select '{{ left is defined }} {{ dbt.left is defined }} {{ own is defined }}' as found",
    "fails": "{{ sets_and_fails() }} select 1 as one",
    "is_named": "select '{{ this.identifier }} {{ model.name }} {{ context.model.name }}' as found",
}
_MACRO = """{% macro sets_and_fails() %}
  {% if execute %}{% do context.update({'left': 1}) %}{{ exceptions.raise_compiler_error('on purpose') }}{% endif %}
{% endmacro %}"""


def test_each_node_is_rendered_as_alone(project: Project) -> None:
    for name, sql in _MODELS.items():
        project.write(f"models/serving/{name}.sql", sql)
    project.write("macros/sets_and_fails.sql", _MACRO)
    done = project.start(_RENDERED, program="python").wait()
    assert done.code == 0, done
    found = json.loads(done.out.splitlines()[-1])
    assert {name: in_turn for name, (in_turn, _) in found.items()} == {
        name: alone for name, (_, alone) in found.items()
    }
    texts = {name.split(".")[-1].split()[0]: in_turn for name, (in_turn, _) in found.items()}
    assert texts["finds"] == "select 'False False False' as found"
    assert texts["is_named"] == "select 'is_named is_named is_named' as found"
    assert "on purpose" in texts["fails"]
