"""``slipway ci``: builds the nodes that a change affects next to the published tables, and compares the two."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.harness.commands import Output
    from tests.harness.projects import Workshop

WEIGHT_MODEL = "models/serving/depot_weights.sql"
HEAVY = "{% macro heavy() %} 4 {% endmacro %}\n"


@pytest.fixture(scope="module")
def released(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The project, published once; a macro of its own says what is heavy."""
    workshop = new_workshop(tmp_path_factory.mktemp("ci"))
    workshop.write("macros/heavy.sql", HEAVY)
    workshop.edit(
        WEIGHT_MODEL, "    sum(kg) as kg", "    sum(kg) as kg,\n    max(kg) >= {{ heavy() }} as is_heavy"
    )
    workshop.edit(WEIGHT_MODEL, "select\n", "{{ config(compare_key=['depot']) }}\n\nselect\n")
    workshop.run()
    return workshop


def ci(
    workshop: Workshop, code: int, *options: str, against: int | None = None
) -> tuple[Output, dict[str, Any]]:
    """What it printed and wrote; what is published is untouched, and nothing temporary is left."""
    before = workshop.locations(), workshop.releases(), len(workshop.manifests())
    folder = workshop.folder / "ci"
    done = workshop.slipway("ci", *options, "--output-dir", str(folder))
    assert done.code == code, done
    assert (workshop.locations(), workshop.releases(), len(workshop.manifests())) == before
    assert not list(workshop.temporary.glob("slipway-*"))
    assert (folder / "ci.md").read_text(encoding="utf-8") == done.out
    written: dict[str, Any] = json.loads((folder / "ci.json").read_text(encoding="utf-8"))
    assert written["passed"] is (code == 0)
    expected = workshop.releases()[-1 if against is None else against - 1] if against != 0 else None
    assert written["against"] == expected
    return done, written


def changes(written: dict[str, Any]) -> dict[str, str]:
    return {node["table"]: node["change"] for node in written["run"]["nodes"]}


def verdicts(written: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["verdict"] for item in written["comparison"]["tables"]}


def test_nothing_is_built_when_nothing_is_modified(published: Workshop) -> None:
    done, written = ci(published, code=0)
    assert done.out.startswith("### Slipway: nothing to build\n")
    assert "release 1" in done.out
    assert (written["run"], written["comparison"]) == (None, None)


def test_a_modified_model_and_what_depends_on_it_are_built(published: Workshop) -> None:
    # new files land meanwhile: they are not what a change is judged by
    published.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    published.edit("models/curated/weights.sql", "where kg is not null", "where kg > 0.5")
    done, written = ci(published, code=1)
    assert changes(written) == {"curated.weights": "built", "serving.depot_weights": "built"}
    assert written["run"]["landed_files"] == []
    # p4 weighs 0.25 kg: one weight and one of N's parcels are gone
    assert verdicts(written) == {"curated.weights": "different", "serving.depot_weights": "different"}
    tables = {item["name"]: item for item in written["comparison"]["tables"]}
    assert (tables["curated.weights"]["base"]["rows"], tables["curated.weights"]["head"]["rows"]) == (4, 3)
    assert tables["serving.depot_weights"]["rows"]["changed"] == 1
    assert tables["curated.weights"]["edited"]
    assert tables["serving.depot_weights"]["because_of"] == ["curated.weights"]
    # no value of a row is in a comment that others keep
    examples = [one[key] for one in tables.values() for key in ("added_examples", "removed_examples")]
    examples += [column["examples"] for one in tables.values() for column in one["columns"]]
    assert not any(examples)
    assert "p4" not in done.out
    # what it reads and did not build is what was published
    locations = published.published()
    read = {item["table"]: item["metadata_location"] for item in written["run"]["inputs"]}
    assert read == {f"dev.{name}": locations[name] for name in ("raw.parcels", "reference.depots")}
    # unique parcel, not_null kg, unique depot, weights_are_positive
    assert (written["run"]["tests"]["executed"], written["run"]["tests"]["failed"]) == (4, 0)
    assert done.out.startswith("### Slipway: failed, 2 tables differ, 0 declared\n")
    assert re.search(
        r"Built 2 tables in [\d.]+ s \([\d.]+ \w+\); tests: 4 executed, 0 failed, 0 warned, 0 not run\.",
        done.out,
    )
    edited, follows = done.out.index("**Edited**"), done.out.index("**Follows from curated.weights**")
    assert edited < done.out.index("| `curated.weights` | **different** | 4 → 3 | 0 | 1 |") < follows
    assert "1 passed | " in done.out[follows:]
    assert 't0[["curated.weights"]]:::failing' in done.out
    assert "    t0 --> t1\n" in done.out
    assert "  compare_expected:\n    - reason: why it is right\n      rows: [removed]\n" in done.out
    assert len(done.out.partition("<details>")[0].splitlines()) < 30
    assert "serving.depot_weights" in (published.folder / "ci" / "ci.html").read_text(encoding="utf-8")


def test_a_declared_change_passes(published: Workshop) -> None:
    published.edit(
        WEIGHT_MODEL,
        "compare_key=['depot']",
        "compare_key=['depot'], compare_expected=[{'columns': ['is_heavy'], 'reason': 'heavier'}]",
    )
    published.write(
        "macros/heavy.sql", HEAVY.replace("4", "5")
    )  # a change of only a macro makes its models modified
    done, written = ci(published, code=0)
    assert changes(written) == {"serving.depot_weights": "built"}
    assert verdicts(written) == {"serving.depot_weights": "explained"}
    assert done.out.startswith("### Slipway: passed, 1 table differs, 1 declared\n")
    assert "\n- `serving.depot_weights` is meant to differ: heavier\n" in done.out


@pytest.mark.long
def test_a_stale_branch_is_compared_with_the_release_it_was_cut_from(workshop: Workshop) -> None:
    workshop.commit()
    workshop.run()
    workshop.git("checkout", "--quiet", "-b", "topic")
    workshop.edit(WEIGHT_MODEL, "count(*) as parcels", "count(*) + 1 as parcels")
    workshop.commit()
    # others change what it reads, and land more
    workshop.git("checkout", "--quiet", "main")
    workshop.edit(
        "models/curated/weights.sql",
        "try_cast(kg as decimal(9, 3)) as",
        "2 * try_cast(kg as decimal(9, 3)) as",
    )
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.commit()
    workshop.run()
    workshop.git("checkout", "--quiet", "topic")
    done, written = ci(workshop, 1, against=1)
    assert changes(written) == {"serving.depot_weights": "built"}
    (table,) = written["comparison"]["tables"]
    assert (
        table["rows"]["changed"] == table["base"]["rows"] == 2
    )  # one parcel more in each depot, and nothing else
    assert "The target shows release 2 by now" in done.out
    # against what is published, what others changed is taken back
    _, written = ci(workshop, 1, "--base", "published")
    assert changes(written) == {"curated.weights": "built", "serving.depot_weights": "built"}
    # what maintenance removes first of a state that it does not keep
    gone = workshop.releases()[0]["tables"]["curated.weights"]["metadata_location"]
    Path(gone.removeprefix("file://")).unlink()
    refusal = workshop.refusal("ci", code=3)
    assert refusal.startswith("Release 1 of dev cannot be compared with any more: curated.weights: ")
    assert "--base published, or build everything with --full" in refusal


@pytest.mark.long
def test_a_new_model_is_built_and_undeclared(published: Workshop) -> None:
    published.write("models/serving/cities.sql", "select city from {{ ref('depots') }}")
    _, written = ci(published, code=1)
    assert changes(written) == {"serving.cities": "built"}
    (table,) = written["comparison"]["tables"]
    assert (table["base"]["exists"], table["head"]["exists"], table["head"]["rows"]) == (False, True, 2)


@pytest.mark.long
def test_a_failing_test_is_named(published: Workshop) -> None:
    published.write(
        "tests/dbt/depots_are_light.sql", "select * from {{ ref('depot_weights') }} where is_heavy"
    )
    done, written = ci(published, code=1)
    assert (written["run"]["outcome"], written["comparison"]) == ("failed", None)
    assert done.out.startswith("### Slipway: failed, 1 of ")
    assert "- `depots_are_light`: Got 1 result" in done.out
    assert "(the release does not have this test)" in done.out


def test_a_failing_test_does_not_keep_tables_from_being_compared(published: Workshop) -> None:
    published.write("tests/dbt/no_depot.sql", "select * from {{ ref('depot_weights') }}")
    published.edit(WEIGHT_MODEL, "count(*) as parcels", "count(*) + 1 as parcels")
    done, written = ci(published, code=1)
    assert written["run"]["outcome"] == "failed"
    assert verdicts(written) == {"serving.depot_weights": "different"}
    first = done.out.splitlines()[0]
    assert first.startswith("### Slipway: failed, 1 of ")
    assert first.endswith("1 table differs, 0 declared")
    page = (published.folder / "ci" / "ci.html").read_text(encoding="utf-8")
    assert "1 failed" in page
    assert "<dt>environment</dt><dd>dev</dd>" in page


@pytest.mark.long
def test_a_new_test_that_passes_is_all_there_is_to_run(published: Workshop) -> None:
    published.write(
        "tests/dbt/depots_have_parcels.sql", "select * from {{ ref('depot_weights') }} where parcels = 0"
    )
    done, written = ci(published, code=0)
    assert (written["run"]["nodes"], written["run"]["tests"]["executed"]) == ([], 1)
    assert done.out.startswith("### Slipway: passed\n")


def test_a_modified_input_is_not_rebuilt_and_that_is_reported(published: Workshop) -> None:
    text = (published.path / "models/raw/parcels_raw.sql").read_text(encoding="utf-8")
    published.write("models/raw/parcels_raw.sql", f"{text}limit 1\n")
    done, written = ci(published, code=0)
    assert changes(written)["raw.parcels"] == "pinned"
    assert "Not rebuilt, although selected: `raw.parcels`" in done.out


def test_it_leaves_nothing_behind_when_it_is_killed(published: Workshop) -> None:
    published.edit("models/curated/weights.sql", "where kg is not null", "where kg > 0.5")
    before = files_below(published.home)
    killed = published.start("ci", kill_before="slipway.ci.build_change:compare_builds").wait()
    assert killed.code is None, killed
    assert "curated.weights" in killed.err  # it had built
    for _ in range(100):
        if not (left := list(published.temporary.glob("slipway-*"))):
            break
        time.sleep(0.1)
    assert left == []
    assert files_below(published.home) == before


def test_there_is_nothing_to_compare_with(workshop: Workshop) -> None:
    assert workshop.refusal("ci", code=3).startswith("dev has no release to compare with")


def state_of(workshop: Workshop) -> Path:
    """What the run of the first release kept of dbt's manifest."""
    return next(workshop.warehouse().glob("_slipway/runs/*/*/dbt/manifest.json"))


def damage(workshop: Workshop, how: str) -> None:
    path = state_of(workshop)
    stored = json.loads(path.read_text(encoding="utf-8"))
    metadata = stored["metadata"]
    match how:
        case "missing":
            path.unlink()
            return
        case "corrupt":
            path.write_text("{", encoding="utf-8")
            return
        case "newer":
            metadata["dbt_schema_version"] = "https://schemas.getdbt.com/dbt/manifest/v99.json"
            metadata["dbt_version"] = "9.9.9"
        case "foreign":
            metadata["project_name"] = "letters"
    path.write_text(json.dumps(stored), encoding="utf-8")


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("missing", 3, "has no manifest of dbt: slim CI compares with it"),
        pytest.param("corrupt", 6, "dbt/manifest.json", marks=pytest.mark.long),
        (
            "newer",
            6,
            "it is of dbt 9.9.9 (https://schemas.getdbt.com/dbt/manifest/v99.json), and this one reads up to",
        ),
        pytest.param(
            "foreign",
            6,
            "dbt's manifest of it is of the project letters, and this one is parcels",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_state_that_cannot_be_used(released: Workshop, how: str, code: int, said: str) -> None:
    state = state_of(released).read_bytes()
    with released.restored():
        try:
            damage(released, how)
            refusal = released.refusal("ci", code=code)
            assert said in refusal
            assert refusal.endswith(" or build everything with slipway ci --full.")
            if how == "corrupt":  # the others differ only in what is said
                done, written = ci(released, 0, "--full")
                assert set(verdicts(written).values()) == {"identical"}
                assert set(verdicts(written)) == set(released.published()) - {"raw.parcels"}
                assert "Everything was built: " in done.out
        finally:
            state_of_first = next(released.warehouse().glob("_slipway/runs/*/*/dbt"))
            (state_of_first / "manifest.json").write_bytes(state)


@pytest.mark.long
def test_an_environment_that_cannot_be_reached(published: Workshop) -> None:
    away = {"SLIPWAY_WAREHOUSE": "s3://away/dev", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    keys = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    refusal = published.refusal("ci", code=5, **away, **keys)
    assert "s3://away/dev" in refusal
    assert refusal.endswith(" or build everything with slipway ci --full.")
    done = published.slipway("ci", "--full", "--output-dir", str(published.folder / "ci"), **away, **keys)
    assert done.code == 0, done
    written = json.loads((published.folder / "ci" / "ci.json").read_text(encoding="utf-8"))
    assert (written["against"], written["comparison"]) == (None, None)
    assert set(changes(written)) == set(published.published())
    assert "compared with nothing, because no release can be read: " in done.out


def test_code_that_does_not_parse(published: Workshop) -> None:
    published.write(WEIGHT_MODEL, "select {{ ref('nothing_like_it') }}")
    assert "nothing_like_it" in published.refusal("ci", code=1)


def test_a_model_that_is_gone_is_a_difference(published: Workshop) -> None:
    (published.path / WEIGHT_MODEL).unlink()
    published.edit("models/_models.yml", "name: depot_weights", "name: weights_quarantined_too")
    done, written = ci(published, code=1)
    assert "Nothing to build" in done.out
    assert verdicts(written) == {"serving.depot_weights": "different"}


@pytest.mark.long
def test_a_release_of_a_part_says_nothing_of_the_rest(released: Workshop) -> None:
    with released.restored():
        released.edit(WEIGHT_MODEL, "count(*) as parcels", "count(*) + 1 as parcels")
        released.edit("models/curated/weights.sql", "where kg is not null", "where kg is not null and true")
        released.run("--select", "weights")
        done, written = ci(released, code=1)
        assert "depot_weights" in done.out
        assert changes(written)["serving.depot_weights"] == "built"


HISTORY = "snapshots: [{name: places, relation: ref('depots'), config: {schema: curated, strategy: check,"


@pytest.mark.long
def test_what_a_run_would_build_again_is_built(workshop: Workshop) -> None:
    """Variables, a rollback, a view in between, and the history of a snapshot."""
    workshop.edit("dbt_project.yml", "vars:\n", "vars:\n  step: 1\n")
    workshop.write("models/serving/stepped.sql", "select {{ var('step') }} as n")
    workshop.write(
        "models/serving/seen.sql", "{{ config(materialized='view') }}\nselect * from {{ ref('depots') }}\n"
    )
    workshop.write("models/serving/of_view.sql", "select count(*) as n from {{ ref('seen') }}\n")
    workshop.write("models/serving/of_places.sql", "select count(*) as n from {{ ref('places') }}\n")
    workshop.write("snapshots/places.yml", f"{HISTORY} unique_key: depot, check_cols: all}}}}]\n")
    workshop.run()
    depots = workshop.path / "seeds/reference/depots.csv"
    text = depots.read_text(encoding="utf-8")
    depots.write_text(text.replace("Narvik", "York"), encoding="utf-8")
    assert depots.read_text(encoding="utf-8") != text
    workshop.run()  # a second version in the history
    done, written = ci(workshop, code=0)
    assert written["run"] is None, changes(written)
    assert done.out.startswith("### Slipway: nothing to build\n")

    workshop.edit("dbt_project.yml", "step: 1", "step: 2")
    _, written = ci(workshop, code=1)
    assert changes(written) == {"serving.stepped": "built"}
    workshop.edit("dbt_project.yml", "step: 2", "step: 1")

    workshop.edit("models/serving/of_view.sql", "count(*)", "count(*) + 1 - 1")
    _, written = ci(workshop, code=0)
    assert changes(written)["serving.of_view"] == "same_content"
    assert verdicts(written)["serving.of_view"] == "identical"

    workshop.run()
    workshop.edit("models/serving/of_view.sql", "+ 1 - 1", "+ 2")
    workshop.run()
    workshop.answer("rollback", "--reason", "a mistake", "--yes")
    _, written = ci(workshop, code=1)  # readers see the code of before
    assert changes(written)["serving.of_view"] == "built"

    depots.write_text(text.replace("Narvik", "Hull"), encoding="utf-8")
    done, written = ci(workshop, code=1)
    assert changes(written)["curated.places"] == "pinned"
    assert "curated.places" not in verdicts(written)
    workshop.commit()
    workshop.answer("canary", "--base", "HEAD")  # nor does the clock of a history make two builds differ


@pytest.mark.long
def test_what_partial_releases_left_out_is_built(built: Workshop) -> None:
    built.edit("models/curated/weights.sql", "where kg is not null", "where kg > 0.5")
    built.edit(WEIGHT_MODEL, "    sum(kg) as kg", "    sum(kg) as kg,\n    max(kg) as heaviest")
    built.write("models/serving/cities.sql", "select city from {{ ref('depots') }}")
    for name in ("depot_weights", "cities"):
        assert built.run("--select", name)["outcome"] == "published"
    _, written = ci(built, code=1)
    # cities is released as it is; the new weights are not, and what reads them changes with them
    assert changes(written) == {"curated.weights": "built", "serving.depot_weights": "built"}
    assert verdicts(written) == {"curated.weights": "different", "serving.depot_weights": "different"}


DAILY = "models/serving/daily.sql"
DAILY_CODE = """\
{{ config(materialized='incremental', incremental_strategy='append', compare_key=['weighed_on']) }}
select weighed_on, sum(kg) as kg from {{ ref('weights') }}
{% if is_incremental() %} where weighed_on > (select max(weighed_on) from {{ this }}) {% endif %}
group by weighed_on
"""


def files_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_an_incremental_model_is_judged_on_a_run_and_on_a_full_refresh(workshop: Workshop) -> None:
    """The first two days are published; the third has landed, and only the input of the model has it."""
    workshop.write(DAILY, DAILY_CODE)
    workshop.run()
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.run("--exclude", "daily")
    before = files_below(workshop.warehouse())
    workshop.edit(DAILY, "sum(kg) as", "sum(kg - 0.25) as")
    done, written = ci(workshop, code=1)
    assert files_below(workshop.warehouse()) == before
    # a run adds the third day, and leaves the first two as they are
    assert changes(written) == {"serving.daily": "built"}
    (table,) = written["comparison"]["tables"]
    assert (table["rows"]["added"], table["rows"]["changed"], table["rows"]["identical"]) == (1, 0, 2)
    (run,) = written["run"]["nodes"]
    assert (run["rows_before"], run["rows_added"], run["files_added"]) == (2, 1, 1)
    # a full refresh makes all three days by the new code
    (table,) = written["rebuild_comparison"]["tables"]
    assert (table["rows"]["added"], table["rows"]["changed"], table["rows"]["identical"]) == (1, 2, 0)
    assert (
        "- `serving.daily`: a full rebuild leaves 2 rows with other values than a run; it has rows that were"
        in done.out
    )
    assert "slipway run --target dev --full-refresh --select daily+" in done.out

    # where the rows are to stay, a run is all there is
    workshop.edit(DAILY, "'append'", "'append', on_code_change={'keep': 'billed'}")
    _, written = ci(workshop, code=1)
    assert written["rebuild_run"] is None
    assert list(written["kept"]) == ["serving.daily"]


def test_an_incremental_model_that_reads_what_differs_is_judged_on_both_as_well(workshop: Workshop) -> None:
    """Its own code stays: it reads the days after its newest one, and the change is in the days before."""
    workshop.write(DAILY, DAILY_CODE)
    workshop.run()
    workshop.edit("models/curated/weights.sql", "as kg\n", "+ 0.25 as kg\n")
    done, written = ci(workshop, code=1)
    tables = {one["name"]: one for one in written["comparison"]["tables"]}
    assert tables["curated.weights"]["rows"]["changed"] == 4
    assert tables.get("serving.daily", {"verdict": "identical"})["verdict"] == "identical"
    (again,) = (one for one in written["rebuild_comparison"]["tables"] if one["name"] == "serving.daily")
    assert again["rows"]["changed"] == 2
    assert written["stale"].keys() == {"serving.daily"}
    assert (
        "a full rebuild leaves 2 rows with other values than a run, because what it reads differs in rows that a run does not read again"
        in done.out
    )
    assert "slipway run --target dev --full-refresh --select daily+" in done.out
    # what differs is only below, so a full refresh of this model would change nothing
    workshop.edit("models/curated/weights.sql", "+ 0.25 as kg\n", "as kg\n")
    workshop.edit("models/serving/depot_weights.sql", "sum(kg) as kg", "sum(kg) + 1 as kg")
    _, written = ci(workshop, code=1)
    assert written["rebuild_run"] is None
