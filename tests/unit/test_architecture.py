"""The rules that keep the code in layers and the machinery free of the example, read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "scripts"
SLIPWAY = SOURCES / "slipway"

# What each part of the package may import of the package. The top level (`__init__`, `__main__`) is the doorstep.
ALLOWED: dict[str, set[str]] = {
    "cli": {"cli", "services", "domain"},
    "services": {"services", "adapters", "domain"},
    "adapters": {"adapters", "domain"},
    "dbt_plugin": {"adapters", "domain"},
    "domain": {"domain"},
    "__main__": {"cli"},
    "__init__": set(),
}
# Libraries behind the adapters; dbt-duckdb hands its own objects and DuckDB's connection to the plugin.
ENGINES = {"boto3", "botocore", "dbt", "duckdb", "pyarrow", "pyiceberg", "sqlalchemy"}
ENGINES_OUTSIDE_ADAPTERS = {"dbt_plugin": {"dbt", "duckdb"}}
# The pure part does no input or output, so it needs none of these.
IMPURE = {"http", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "urllib"}

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


def imports(source: str) -> set[str]:
    """Dotted names of everything a module imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def top_level(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def part(path: Path) -> str:
    """The layer a file of the package belongs to: its first folder, or its own name at the top."""
    return path.relative_to(SLIPWAY).with_suffix("").parts[0]


def parts_of_slipway(names: set[str]) -> set[str]:
    """Layers and top modules named by imports of the package; `from slipway import __version__` names none."""
    inside = {name.split(".")[1] for name in names if name.startswith("slipway.")}
    return {name for name in inside if (SLIPWAY / name).is_dir() or (SLIPWAY / f"{name}.py").is_file()}


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


def test_layers_import_downwards_only() -> None:
    wrong = {
        f"{path.relative_to(SLIPWAY)} imports {used}"
        for path in python_files(SLIPWAY)
        for used in parts_of_slipway(imports(path.read_text(encoding="utf-8")))
        if used not in ALLOWED[part(path)]
    }
    assert wrong == set()


def test_only_adapters_import_the_engines() -> None:
    wrong = {
        f"{path.relative_to(SLIPWAY)} imports {used}"
        for path in python_files(SLIPWAY)
        if part(path) != "adapters"
        for used in top_level(imports(path.read_text(encoding="utf-8"))) & ENGINES
        if used not in ENGINES_OUTSIDE_ADAPTERS.get(part(path), set())
    }
    assert wrong == set()


def test_domain_is_pure() -> None:
    allowed = (sys.stdlib_module_names - IMPURE) | {"pydantic", "slipway"}
    wrong = {
        f"{path.relative_to(SLIPWAY)} imports {used}"
        for path in python_files(SLIPWAY / "domain")
        for used in top_level(imports(path.read_text(encoding="utf-8"))) - allowed
    }
    assert wrong == set()


def test_package_and_example_do_not_import_each_other() -> None:
    assert python_files(SLIPWAY)
    slipway = {name for path in python_files(SLIPWAY) for name in imports(path.read_text(encoding="utf-8"))}
    example = {
        name
        for folder in (SOURCES / "retail", ROOT / "python_models")
        for path in python_files(folder)
        for name in imports(path.read_text(encoding="utf-8"))
    }
    assert "retail" not in top_level(slipway)
    assert "slipway" not in top_level(example)


def test_machinery_does_not_name_the_example() -> None:
    machinery = [*texts(SLIPWAY, ".py", ".html", ".sql", ".json", ".yml")]
    machinery += [
        (name, text)
        for name, text in texts(ROOT / "macros", ".sql", ".yml")
        if not name.startswith("macros/retail/")
    ]
    assert hits(EXAMPLE_WORDS, iter(machinery)) == []


def test_models_use_neither_clock_nor_chance() -> None:
    """Business time is the var `as_of`: the same inputs give the same rows whenever a run happens."""
    sql = [*texts(ROOT / "models", ".sql"), *texts(ROOT / "macros" / "retail", ".sql")]
    assert sql
    assert hits(CLOCK_OR_CHANCE, ((name, without_sql_comments(text)) for name, text in sql)) == []
    python = [*texts(ROOT / "python_models", ".py"), *texts(SOURCES / "retail", ".py")]
    assert hits(PYTHON_CLOCK_OR_CHANCE, iter(python)) == []


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    files = [*committable_files()]
    assert hits(MACHINE_PATH, iter(files)) == []
    assert hits(REGISTRY, iter(files)) == []


def test_tables_are_scanned_by_one_function() -> None:
    """Which has read the manifests before: DuckDB takes a damaged one for an empty one. ``connect`` only prints the scan."""
    scanning = {
        path.name for path in SLIPWAY.rglob("*.py") if "iceberg_scan(" in path.read_text(encoding="utf-8")
    }
    assert scanning == {"scan.py", "connect.py"}
    unchecked = {
        path.name for path in SLIPWAY.rglob("*.py") if "scan_of(" in path.read_text(encoding="utf-8")
    }
    assert unchecked == {"scan.py", "views.py", "writer.py"}


def test_modules_stay_readable_in_one_sitting() -> None:
    long = {
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in [*python_files(SOURCES), *python_files(ROOT / "python_models")]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("import slipway.adapters.dbt", {"slipway.adapters.dbt"}, id="plain"),
        pytest.param("from slipway import adapters", {"slipway.adapters"}, id="package-from"),
        pytest.param("def f():\n    from duckdb import connect", {"duckdb.connect"}, id="inside-a-function"),
        pytest.param(
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import boto3",
            {"typing.TYPE_CHECKING", "boto3"},
            id="for-types-only",
        ),
    ],
)
def test_every_form_of_import_is_seen(source: str, expected: set[str]) -> None:
    assert imports(source) == expected


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
