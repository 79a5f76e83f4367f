"""``slipway canary --sample``: both versions are built from the same share of the keys, and every form of the report says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop

CURATED, SERVING = "models/curated/weights.sql", "models/serving/depot_weights.sql"
KEY = "{{ config(sample_key='depot') }}\n\n"
ONLY_S = "40%"


@pytest.fixture(scope="module")
def released(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The project at a commit, published once in dev; its parcels can be sampled by depot."""
    workshop = new_workshop(tmp_path_factory.mktemp("samples"))
    workshop.edit(CURATED, "with\n", f"{KEY}with\n")
    workshop.edit(SERVING, "select\n", "{{ config(compare_key=['depot']) }}\n\nselect\n")
    workshop.commit()
    workshop.run()
    return workshop


def place(depot: str) -> float:
    """The least share in percent, up to rounding, in which a depot is."""
    return int(hashlib.md5(depot.encode(), usedforsecurity=False).hexdigest()[:8], 16) / 2**32 * 100


@pytest.mark.long
def test_both_sides_are_built_from_the_same_sample(published: Workshop, tmp_path: Path) -> None:
    assert place("S") < 40 < place("N")
    published.edit(SERVING, "sum(kg) as kg", "sum(kg) + 1 as kg")
    done = published.slipway("canary", "--base", "HEAD", "--sample", ONLY_S, "--output-dir", str(tmp_path))
    assert done.code == 1, done
    head = "Canary: failed on a sample of 40% by depot, 1 table differs, 0 declared; 4 tables"
    facts = [
        "Of raw.parcels rows were taken whose depot is in 40% of all keys, and those whose depot is NULL (sample_key of weights).",
        "Taken whole, without a sample_key: raw.parcels in weights_quarantined, reference.depots.",
        "Read whole, because a hash of a key leaves out no data file: raw.parcels (5 rows, ",
    ]
    report = json.loads((tmp_path / "canary.json").read_text(encoding="utf-8"))
    assert report["sample"] == {
        "share": "40%",
        "rows": 1,
        "inputs": [
            {"table": "raw.parcels", "key": [], "models": ["weights_quarantined"]},
            {"table": "raw.parcels", "key": ["depot"], "models": ["weights"]},
            {"table": "reference.depots", "key": [], "models": ["depot_weights"]},
        ],
    }
    assert report["context"]["slice"] == '{"sample": "40%"}'
    tables = {one["name"]: one for one in report["tables"]}
    rows = {name: [one[side]["rows"] for side in ("base", "head")] for name, one in tables.items()}
    # S has one parcel, of 2 kg; N has three
    assert rows["curated.weights"] == rows["serving.depot_weights"] == [1, 1]
    assert (rows["quarantine.weights"], rows["reference.depots"]) == ([1, 1], [2, 2])
    (changed,) = [one for one in tables["serving.depot_weights"]["columns"] if one["examples"]]
    assert [one["key"] for one in changed["examples"]] == [{"depot": "S"}]
    pages = {form: (tmp_path / f"canary.{form}").read_text(encoding="utf-8") for form in ("md", "html")}
    for text in (done.out, *pages.values(), "\n".join(["Canary: " + head, *report["remarks"]])):
        plain = text.replace("\\", "")
        assert head.removeprefix("Canary: ") in plain
        assert all(fact in plain for fact in facts), plain


REFUSED = {
    "nothing": (("--sample", "0%"), 2, "The sample is 0%: it is not between 0 and 100 percent."),
    "no number": (("--sample", "abc"), 2, "The sample is abc: it is no number of percent"),
    "a slice that is none": (
        ("--sample", "5%", "--vars", "{slice: 7}"),
        2,
        "--sample 5% does not go with the slice 7",
    ),
}
ALSO_REFUSED = {
    "everything": (("--sample", "100%"), 2, "The sample is 100%: that is the whole input."),
    "more than everything": (("--sample", "150%"), 2, "The sample is 150%: it is not between"),
    "two shares": (("--sample", "5%", "--vars", "{slice: {sample: 6%}}"), 2, "does not go with the slice"),
    "in a slice": (("--vars", "{slice: {sample: abc}}"), 2, "The sample is abc: it is no number of percent"),
    "without a row": (
        ("--sample", "5"),
        1,
        "no row is in a sample of 5% by depot. Ask for a larger share",
    ),
    "without a row of the dates": (
        ("--sample", "40%", "--vars", "{slice: {from: 2024-05-02}}"),
        1,
        "no row is in a sample of 40% by depot. Ask for a larger share, or for other dates or values.",
    ),
}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        *(pytest.param(*case, id=name) for name, case in REFUSED.items()),
        *(pytest.param(*case, id=name, marks=pytest.mark.long) for name, case in ALSO_REFUSED.items()),
    ],
)
def test_refused(published: Workshop, arguments: tuple[str, ...], code: int, message: str) -> None:
    said = published.refusal("canary", "--base", "HEAD", *arguments, code=code)
    assert message in said
    # an empty sample is no comparison that passed, and no version that does not build
    assert said.startswith("Nothing was compared: in ") is (code == 1)


@pytest.mark.long
def test_what_cannot_be_sampled_is_refused(published: Workshop) -> None:
    sample = ("--base", "HEAD", "--sample", ONLY_S)
    published.edit(CURATED, KEY, "")
    message = published.refusal("canary", *sample, code=1)
    assert "There is no key for a sample of 40%: no model declares sample_key" in message
    published.commit()
    published.edit(CURATED, "with\n", f"{KEY}with\n")
    published.edit(CURATED, " and {{ slice_predicate() }}", "")
    message = published.refusal("canary", "--base", "HEAD~1", "--sample", ONLY_S, code=1)
    assert "The sample_key of weights has no effect: its query does not call slice_predicate()" in message


@pytest.mark.long
def test_samples_by_other_keys_are_not_compared(published: Workshop) -> None:
    published.edit(CURATED, "sample_key='depot'", "sample_key='parcel'")
    message = published.refusal("canary", "--base", "HEAD", "--sample", "60%", code=1)
    assert message.startswith(
        "The two samples cannot be compared: raw.parcels is taken by depot in base and by parcel in head. Commit"
    )
    published.edit(CURATED, "sample_key='parcel'", "sample_key='kg * 1.0::double'")
    message = published.refusal("canary", "--base", "HEAD", "--sample", "60%", code=1)
    assert "The sample_key kg * 1.0::double of weights has no text that is the same in every table" in message
    assert "Its type is DOUBLE" in message


@pytest.mark.long
def test_a_dimension_of_the_project_has_that_name(published: Workshop) -> None:
    published.edit("dbt_project.yml", "    date:", "    sample: {column: depot, kind: list}\n    date:")
    message = published.refusal("canary", "--base", "HEAD", "--sample", "5%", code=2)
    assert message.startswith("--sample cannot be used in this project: its slice_dimensions declare")
    run = published.run("--vars", "{slice: {sample: N}}")
    assert run["sample"] is None
    assert {node["table"]: node["rows_after"] for node in run["nodes"]}["curated.weights"] == 3


@pytest.mark.long
def test_a_run_takes_the_same_sample_and_records_it(published: Workshop) -> None:
    run = published.run("--vars", "{slice: {sample: 40%}}")
    assert (run["outcome"], run["sample"]["rows"]) == ("published", 1)
    assert run["sample"]["share"] == "40%"
