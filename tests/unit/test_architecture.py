"""What import-linter cannot say of the code: rooms that introduce themselves, and machinery free of the example, clocks and machines."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "scripts"
SLIPWAY = SOURCES / "slipway"

# In docstrings of rooms: what is no module of theirs.
FOREIGN_WORDS = {"slipway", "_slipway"}

EXAMPLE_WORDS = re.compile(
    r"retail|invoice|stock|countr(y|ies)|customer|basket|revenue|unit_price|cancellation", re.IGNORECASE
)
CLOCK_OR_CHANCE = re.compile(
    r"\b(now|today|random|setseed|uuid|gen_random_uuid|transaction_timestamp|get_current_\w+)\s*\("
    r"|\b(current_(date|time|timestamp|localtime|localtimestamp)|localtime|localtimestamp)\b",
    re.IGNORECASE,
)
# A generator with a seed is welcome; the shared one of a module, and one without a seed, are not.
PYTHON_CLOCK_OR_CHANCE = re.compile(
    r"\.(now|utcnow|today)\(|\btime\.time\(|\buuid\d?\(|\b(default_rng|Random)\(\s*\)"
    r"|\bnp\.random\.(?!default_rng|Generator)\w+\(|(?<![\w.])random\.(?!Random)\w+\("
)
MACHINE_PATH = re.compile(r"(?<![\w.~<{}-])/(home|root|Users|work)/\w")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.org|--(extra-)?index-url\s*[= ]\s*\S", re.IGNORECASE
)


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if path.is_file())


def committable_files() -> Iterator[tuple[str, str]]:
    """Name and text of each file that is in the repository or would be added to it."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in sorted(set(filter(None, listing.stdout.split("\0")))):
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and b"\0" not in (content := path.read_bytes())[:8192]:
            yield name, content.decode("utf-8", errors="replace")


def without_sql_comments(sql: str) -> str:
    return re.sub(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL)


def hits(pattern: re.Pattern[str], files: Iterator[tuple[str, str]]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in files
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def texts(folder: Path, *suffixes: str) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in suffixes and path.is_file():
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def rooms() -> list[Path]:
    return [
        path.parent for path in python_files(SLIPWAY) if path.name == "__init__.py" and path.parent != SLIPWAY
    ]


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.relative_to(SLIPWAY).as_posix())
def test_every_room_says_what_is_in_it_and_where_to_start(room: Path) -> None:
    """Names in double backquotes are its modules, or what is defined in one of them."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in room.glob("*.py")} | {
        path.name for path in room.iterdir() if path.is_dir()
    }
    names = re.findall(r"``([a-z_]+(?:\.\w+)?)``", text)
    if room.name != "engines":
        assert names
    assert {name.partition(".")[0] for name in names} - FOREIGN_WORDS - {
        one.name for one in rooms()
    } <= modules
    for module, _, name in (name.partition(".") for name in names):
        if name:
            code = (room / f"{module}.py").read_text(encoding="utf-8")
            assert re.search(rf"^(def|class) {name}\b", code, re.MULTILINE), f"{module}.{name}"


def test_a_module_name_is_found_once() -> None:
    """Commands are named like what they start, and the top of the package is no module."""
    names = Counter(path.stem for path in python_files(SLIPWAY) if path.parent.name != "cli")
    assert {name for name, count in names.items() if count > 1} == {"__init__"}


def test_machinery_does_not_name_the_example() -> None:
    machinery = [*texts(SLIPWAY, ".py", ".html", ".sql", ".json", ".yml")]
    assert hits(EXAMPLE_WORDS, iter(machinery)) == []


def test_models_use_neither_clock_nor_chance() -> None:
    """Business time is the var `as_of`: the same inputs give the same rows whenever a run happens."""
    sql = [*texts(ROOT / "models", ".sql"), *texts(ROOT / "macros", ".sql")]
    assert sql
    assert hits(CLOCK_OR_CHANCE, ((name, without_sql_comments(text)) for name, text in sql)) == []
    packages = [folder for folder in SOURCES.iterdir() if folder.is_dir() and folder != SLIPWAY]
    python = [found for folder in (ROOT / "python_models", *packages) for found in texts(folder, ".py")]
    assert hits(PYTHON_CLOCK_OR_CHANCE, iter(python)) == []


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    files = [*committable_files()]
    assert files
    assert hits(MACHINE_PATH, iter(files)) == []
    assert hits(REGISTRY, iter(files)) == []


def test_manifests_are_read_by_functions_that_name_a_damaged_file() -> None:
    """What pyiceberg raises there is anything from EOFError to ValueError, which would be taken for a defect."""
    raw = re.compile(r"\.(manifests|fetch_manifest_entry)\(")
    readers = [path for path in SLIPWAY.rglob("*.py") if raw.search(path.read_text(encoding="utf-8"))]
    assert [path.stem for path in readers] == ["metadata_files"]


def test_tables_are_scanned_by_one_function() -> None:
    """Which has read the manifests before: DuckDB takes a damaged one for an empty one. ``connect`` and ``examples`` only print the scan."""
    scanning = {
        path.name for path in SLIPWAY.rglob("*.py") if "iceberg_scan(" in path.read_text(encoding="utf-8")
    }
    assert scanning == {"scan.py", "connect.py", "examples.py"}
    unchecked = {
        path.name for path in SLIPWAY.rglob("*.py") if "scan_of(" in path.read_text(encoding="utf-8")
    }
    assert unchecked == {"scan.py", "writer.py"}


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        pytest.param(CLOCK_OR_CHANCE, "where day < current_date", id="current-date"),
        pytest.param(CLOCK_OR_CHANCE, "select NOW() as t", id="now-upper-case"),
        pytest.param(CLOCK_OR_CHANCE, "order by random()", id="random"),
        pytest.param(PYTHON_CLOCK_OR_CHANCE, "datetime.now(tz=UTC)", id="python-now"),
        pytest.param(PYTHON_CLOCK_OR_CHANCE, "np.random.default_rng()", id="python-unseeded"),
        pytest.param(PYTHON_CLOCK_OR_CHANCE, "value = random.choice(values)", id="python-shared-generator"),
        pytest.param(EXAMPLE_WORDS, 'columns = ["InvoiceNo"]', id="example-column"),
        pytest.param(MACHINE_PATH, "open('/" + "home/ana/data')", id="home"),
        pytest.param(REGISTRY, "--index" + "-url somewhere", id="index-option"),
    ],
)
def test_forbidden_lines_are_found(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        pytest.param(CLOCK_OR_CHANCE, "select known_at, nowhere, today_count", id="longer-names"),
        pytest.param(PYTHON_CLOCK_OR_CHANCE, "np.random.default_rng(seed)", id="python-seeded"),
        pytest.param(
            PYTHON_CLOCK_OR_CHANCE, "rng = random.Random(7); rng.random()", id="python-own-generator"
        ),
        pytest.param(MACHINE_PATH, "https://example.org/home/page", id="web-address"),
        pytest.param(MACHINE_PATH, "$" + "{HOME}/home/x", id="below-a-variable"),
    ],
)
def test_harmless_lines_are_not(pattern: re.Pattern[str], line: str) -> None:
    assert not pattern.search(line)


def test_sql_comments_may_explain_what_is_forbidden() -> None:
    sql = "{# never now() #}\nselect 1 -- not current_date\n/* random() */"
    assert not CLOCK_OR_CHANCE.search(without_sql_comments(sql))
