"""Code that no commit holds, in every way that git itself can be brought to call the work tree clean."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from dbt.artifacts.resources.base import FileHash
from dbt.contracts.files import FilePath, SourceFile

from slipway.code.git import default_base, digest_of_folder
from slipway.code.versions import code_of
from slipway.dbt.code_read import code_read
from slipway.dbt.start import RunOptions, _check_code
from slipway.records.run_manifest import Code

MODEL, SEED = "models/orders.sql", "seeds/rates.csv"
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
PLAIN = {**{k: v for k, v in os.environ.items() if not k.startswith("GIT_")}, "GIT_CONFIG_GLOBAL": os.devnull}


@dataclass(frozen=True)
class Repository:
    """A project in a folder of a repository, everything in it committed."""

    top: Path

    @property
    def project(self) -> Path:
        return self.top / "warehouse"

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        command = ["git", *IDENTITY, "-C", str(cwd or self.project), *arguments]
        done = subprocess.run(command, env=PLAIN, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str) -> Path:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def git_says_clean(self) -> bool:
        return self.git("status", "--porcelain") == ""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    made = Repository((tmp_path / "repository").resolve())
    made.project.mkdir(parents=True)
    made.git("init", "--quiet", "--initial-branch", "main", cwd=made.top)
    (made.top / ".git" / "info").mkdir(exist_ok=True)
    made.write("dbt_project.yml", "name: shop\nprofile: shop\nvars: {}\n")
    made.write("profiles.yml", "shop: {}\n")
    made.write(MODEL, "select 1 as id, 2.5 as amount\n")
    made.write(SEED, "code,rate\na,1\n")
    made.write("contracts/orders.odcs.yaml", "kind: DataContract\n")
    made.write("lib/helper.py", "LIMIT = 10\n")
    made.write(".gitignore", "/target/\n")
    made.commit()
    return made


def ignored(path: str, text: str = "x") -> Callable[[Repository], str]:
    def change(repository: Repository) -> str:
        (repository.top / ".git" / "info" / "exclude").write_text(path.rpartition("/")[2] + "\n")
        repository.write(path, text)
        return path

    return change


def edited(flag: str) -> Callable[[Repository], str]:
    def change(repository: Repository) -> str:
        repository.git("update-index", flag, MODEL)
        repository.write(MODEL, "select 1 as id, 3.5 as amount\n")
        return MODEL

    return change


def removed(repository: Repository) -> str:
    repository.git("update-index", "--skip-worktree", SEED)
    (repository.project / SEED).unlink()
    return SEED


def sparse(repository: Repository) -> str:
    repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/warehouse/seeds/", cwd=repository.top)
    assert not (repository.project / SEED).exists()
    return SEED


def filtered(repository: Repository) -> str:
    """A clean filter of the user's configuration gives git the committed bytes, whatever the file holds."""
    (repository.top / ".git" / "info" / "attributes").write_text("*.sql filter=old\n")
    repository.git("config", "filter.old.clean", f"git cat-file blob HEAD:warehouse/{MODEL}")
    repository.write(MODEL, "select 1 as id, 3.5 as amount\n")
    return MODEL


def line_ends(repository: Repository) -> str:
    repository.git("config", "core.autocrlf", "true")
    repository.write(SEED, "code,rate\r\na,1\r\n")
    repository.git("add", "--renormalize", ".")
    return SEED


def link_out(repository: Repository) -> str:
    """The link itself is committed, what it leads to is not."""
    outside = repository.top.parent / "elsewhere.sql"
    outside.write_text("select 7 as id")
    (repository.project / "models" / "linked.sql").symlink_to(outside)
    repository.commit()
    return "models/linked.sql"


def ignored_link(repository: Repository) -> str:
    """What the link leads to is committed, the link is not: a second model of the same code."""
    (repository.top / ".git" / "info" / "exclude").write_text("copy.sql\n")
    (repository.project / "models" / "copy.sql").symlink_to("orders.sql")
    return "models/copy.sql"


def linked_folder(repository: Repository) -> str:
    outside = repository.top.parent / "shared"
    outside.mkdir()
    (outside / "a.sql").write_text("select 1 as a")
    (repository.project / "analyses").symlink_to(outside)
    repository.commit()
    return "analyses/a.sql"


def submodule(repository: Repository) -> str:
    other = repository.top.parent / "other"
    other.mkdir()
    repository.git("init", "--quiet", cwd=other)
    (other / "m.sql").write_text("select 1 as m")
    repository.git("add", "--all", cwd=other)
    repository.git("commit", "--quiet", "--message", "other", cwd=other)
    allowed = ("-c", "protocol.file.allow=always")
    repository.git(*allowed, "submodule", "--quiet", "add", str(other), "models/other")
    repository.commit()
    return "models/other/m.sql"


def replaced_object(repository: Repository) -> str:
    """``git replace`` has git show another tree under the commit's name."""
    first = repository.git("rev-parse", "HEAD")
    repository.write(MODEL, "select 1 as id, 3.5 as amount\n")
    second = repository.commit()
    repository.git("reset", "--quiet", "--soft", first)
    repository.git("replace", first, second)
    return MODEL


def monitored(repository: Repository) -> str:
    """A file monitor that says that nothing changed."""
    hook = repository.top / ".git" / "monitor"
    hook.write_text("#!/bin/sh\nprintf 'token\\0'\n")
    hook.chmod(0o755)
    repository.git("config", "core.fsmonitor", str(hook))
    repository.git("status")
    repository.git("update-index", "--fsmonitor-valid", MODEL)
    repository.write(MODEL, "select 1 as id, 3.5 as amount\n")
    return MODEL


def same_time_and_size(repository: Repository) -> str:
    path = repository.project / MODEL
    repository.git("config", "core.trustctime", "false")
    repository.git("config", "core.checkStat", "minimal")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    repository.git("update-index", "--refresh")
    path.write_bytes(path.read_bytes().replace(b"2.5", b"3.5"))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return MODEL


UNSEEN: dict[str, Callable[[Repository], str]] = {
    "an ignored model": ignored("models/extra.sql"),
    "an ignored seed": ignored("seeds/extra.csv"),
    "an ignored contract": ignored("contracts/extra.odcs.yaml"),
    "ignored documentation": ignored("models/extra.md"),
    "an ignored function": ignored("functions/extra.sql"),
    "an ignored test fixture": ignored("tests/fixtures/extra.csv"),
    "an ignored list of what dbt leaves out": ignored(".dbtignore", "orders.sql"),
    "ignored selectors": ignored("selectors.yml"),
    "assume-unchanged": edited("--assume-unchanged"),
    "skip-worktree": edited("--skip-worktree"),
    "a removed file": removed,
    "a sparse checkout": sparse,
    "a filter": filtered,
    "line ends": line_ends,
    "a link that leads out": link_out,
    "an ignored link": ignored_link,
    "a linked folder": linked_folder,
    "a submodule": submodule,
    "a replaced object": replaced_object,
    "a file monitor": monitored,
    "an edit of the same time and size": same_time_and_size,
}


@pytest.mark.parametrize("change", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_git_calls_clean_is_compared_by_content(
    repository: Repository, change: Callable[[Repository], str]
) -> None:
    assert code_of(repository.project) == Code(
        commit=repository.git("rev-parse", "HEAD"), dirty=False, branch="main"
    )
    name = change(repository)
    assert repository.git_says_clean() or change is same_time_and_size
    code = code_of(repository.project)
    assert code.dirty
    assert [entry.partition(": ")[0] for entry in code.uncommitted] == [f"warehouse/{name}"]
    assert code.unknown == code.uncommitted[0]


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"])
def test_the_environment_does_not_lead_git_elsewhere(
    repository: Repository, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a copy of the repository is, its edit is not noticed; without one, nothing is."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(repository.top), str(copy)], check=True)
    repository.write(MODEL, "select 2 as id")
    place = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_OBJECT_DIRECTORY": ".git/objects"}
    monkeypatch.setenv(name, str(copy / place.get(name, "")))
    code = code_of(repository.project)
    assert (code.commit, code.dirty) == (repository.git("rev-parse", "HEAD"), True)


def test_what_no_run_reads_may_be_ignored(repository: Repository) -> None:
    repository.write("target/manifest.json", "{}")
    repository.write("models/.DS_Store", "")
    repository.git("config", "core.excludesFile", str(repository.write("target/excluded", ".DS_Store\n")))
    assert not code_of(repository.project).dirty


def test_links_within_the_commit_are_code_like_any(repository: Repository) -> None:
    (repository.top / "shared").mkdir()
    (repository.top / "shared" / "s.sql").write_text("select 1 as s")
    (repository.project / "analyses").symlink_to("../shared")
    (repository.project / "models" / "s.sql").symlink_to("../../shared/s.sql")
    repository.commit()
    assert not code_of(repository.project).dirty
    (repository.top / "shared" / "s.sql").write_text("select 2 as s")
    repository.git("update-index", "--assume-unchanged", "../shared/s.sql")
    assert repository.git_says_clean()
    assert code_of(repository.project).dirty


def test_a_large_file_is_known_by_its_pointer(repository: Repository) -> None:
    content = b"code,rate\nb,2\n"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content).hexdigest()}\nsize {len(content)}\n"
    path = repository.write(SEED, pointer)
    repository.commit()
    path.write_bytes(content)
    repository.git("update-index", "--assume-unchanged", SEED)
    assert not code_of(repository.project).dirty
    path.write_bytes(content.replace(b"2", b"3"))
    assert code_of(repository.project).dirty


def test_a_local_package_is_read_through_the_link_that_packages_yml_asks_for(repository: Repository) -> None:
    repository.write(".gitignore", "/target/\n/dbt_packages/\n")
    repository.write("packages.yml", "packages: [{local: helpers}]\n")
    for folder in ("helpers", "others"):
        repository.write(f"{folder}/macros/a.sql", "{% macro a() %}1{% endmacro %}")
    repository.commit()
    link = repository.project / "dbt_packages" / "helpers"
    link.parent.mkdir()
    link.symlink_to("../helpers")
    read = [link / "macros" / "a.sql"]
    code = code_of(repository.project, read)
    assert (code.dirty, code.packages) == (False, {})
    repository.write("helpers/macros/a.sql", "{% macro a() %}2{% endmacro %}")
    assert code_of(repository.project, read).dirty
    repository.write("helpers/macros/a.sql", "{% macro a() %}1{% endmacro %}")
    link.unlink()
    link.symlink_to("../others")
    (finding,) = code_of(repository.project, read).uncommitted
    assert finding == "warehouse/dbt_packages/helpers: a link that the commit does not hold"


def test_packages_are_pinned_by_a_digest_that_is_committed(repository: Repository) -> None:
    repository.write(".gitignore", "/target/\n/dbt_packages/\n")
    macro = repository.write("dbt_packages/utils/macros/a.sql", "{% macro a() %}1{% endmacro %}")
    repository.write("packages.yml", "packages: []\n")
    repository.commit()
    digest = digest_of_folder(repository.project / "dbt_packages" / "utils")
    code = code_of(repository.project)
    assert (code.dirty, code.packages, code.unpinned) == (False, {"utils": digest}, ["utils"])
    assert digest in code.unknown
    repository.write(
        "dbt_project.yml", f"name: shop\nprofile: shop\nvars: {{package_digests: {{utils: '{digest}'}}}}\n"
    )
    repository.commit()
    assert code_of(repository.project).unknown == ""
    macro.write_text("{% macro a() %}2{% endmacro %}")
    assert code_of(repository.project).unpinned == ["utils"]
    repository.git("add", "--force", "dbt_packages")
    repository.git("commit", "--quiet", "--message", "its own copy")
    assert code_of(repository.project).unknown == ""
    repository.write("dbt_packages/utils/macros/b.sql", "{% macro b() %}2{% endmacro %}")
    assert code_of(repository.project).uncommitted == [
        "warehouse/dbt_packages/utils/macros/b.sql: not in the commit"
    ]


def test_profiles_elsewhere_are_recorded(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profiles.yml").write_text("shop: {target: prod}\n")
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    code = code_of(repository.project)
    assert (code.unknown, code.profiles_sha256) == ("", sha256(b"shop: {target: prod}\n").hexdigest())
    inside = repository.write("target/profiles.yml", "shop: {target: prod}\n")
    monkeypatch.setenv("DBT_PROFILES_DIR", str(inside.parent))
    assert code_of(repository.project).uncommitted == ["warehouse/target/profiles.yml: not in the commit"]


def parsed(repository: Repository, content: str, root: Path | None = None) -> SimpleNamespace:
    """A manifest of dbt's with one file, parsed in a folder."""
    path = FilePath("models", Path(MODEL).name, 0.0, str(root or repository.project))
    file = SourceFile(path, FileHash.from_contents(content.strip()), "shop")
    return SimpleNamespace(files={"a": file}, metadata=SimpleNamespace(project_name="shop"))


def test_what_dbt_parsed_is_what_is_there(repository: Repository) -> None:
    content = (repository.project / MODEL).read_text()
    begun = code_of(repository.project)
    assert not code_read(begun, repository.project, parsed(repository, content), []).dirty
    code = code_read(begun, repository.project, parsed(repository, "select 5 as id"), [])
    assert code.dirty
    assert "dbt parsed another content" in code.unknown


def test_a_parse_of_a_project_that_was_moved_is_of_its_files(repository: Repository, tmp_path: Path) -> None:
    content = (repository.project / MODEL).read_text()
    begun = code_of(repository.project)
    moved = parsed(repository, content, tmp_path / "before")
    assert not code_read(begun, repository.project, moved, []).dirty
    changed = parsed(repository, "select 5 as id", tmp_path / "before")
    assert code_read(begun, repository.project, changed, []).dirty


def test_a_parse_of_another_environment_is_of_the_macros_that_are_installed_now(
    repository: Repository, tmp_path: Path
) -> None:
    begun = code_of(repository.project)
    root = tmp_path / "venv/lib/python3/site-packages/dbt/include/duckdb"
    manifest = parsed(repository, (repository.project / MODEL).read_text())
    file = SourceFile(
        FilePath("macros", "adapters.sql", 0.0, str(root)), FileHash.from_contents("x"), "dbt_duckdb"
    )
    manifest.files["b"] = file
    assert not code_read(begun, repository.project, manifest, []).dirty
    manifest.files["b"] = SourceFile(file.path, file.checksum, "another")
    assert "outside of the repository" in code_read(begun, repository.project, manifest, []).unknown


def imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_modules_come_from_the_commit(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # nothing here has git ignore it
    helper = repository.project / "lib" / "helper.py"
    begun = code_of(repository.project)
    modules = [pytest, os, imported("helper", helper)]
    assert not code_read(begun, repository.project, None, modules).dirty
    outside = tmp_path / "outside.py"
    outside.write_text("LIMIT = 1\n")
    code = code_read(begun, repository.project, None, [*modules, imported("outside", outside)])
    assert code.uncommitted == [f"{outside}: outside of the repository"]


def test_modules_of_another_checkout_are_named_as_such(repository: Repository, tmp_path: Path) -> None:
    other = tmp_path / "other checkout" / "lib" / "helper.py"
    other.parent.mkdir(parents=True)
    other.write_bytes((repository.project / "lib" / "helper.py").read_bytes())
    code = code_read(code_of(repository.project), repository.project, None, [imported("helper", other)])
    (printed,) = code.uncommitted
    assert printed.startswith(f"{other}: outside of the repository, whose ")
    assert "lib/helper.py is not imported: the Python environment has another checkout installed" in printed


def test_modules_in_the_folder_of_the_program_are_installed(repository: Repository) -> None:
    module = ModuleType("daff")  # dbt's unit tests import it from the folder of the program
    module.__file__ = str(Path(sysconfig.get_path("scripts")) / "daff.py")
    assert not code_read(code_of(repository.project), repository.project, None, [module]).dirty


def test_bytecode_of_another_source_is_noticed(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes bytecode for that of a source of the same time and size."""
    helper = repository.project / "lib" / "helper.py"
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    begun = code_of(repository.project)
    committed = helper.read_bytes()
    helper.write_bytes(committed.replace(b"10", b"99"))
    os.utime(helper, (1_700_000_000, 1_700_000_000))
    imported("helper", helper)
    helper.write_bytes(committed)
    os.utime(helper, (1_700_000_000, 1_700_000_000))
    module = imported("helper", helper)
    assert module.LIMIT == 99
    (repository.top / ".git" / "info" / "exclude").write_text("__pycache__/\n")
    code = code_read(begun, repository.project, None, [module])
    assert code.dirty
    assert "other bytecode" in code.unknown


def test_a_commit_in_the_middle_of_a_run_is_noticed(repository: Repository) -> None:
    begun = code_of(repository.project)
    repository.write(MODEL, "select 9 as id")
    repository.commit()
    assert code_read(begun, repository.project, None, []).dirty


def no_repository(repository: Repository) -> str:
    (repository.top / ".git").rename(repository.top.parent / "gone")
    return "not a git repository"


def no_commit(repository: Repository) -> str:
    repository.git("checkout", "--quiet", "--orphan", "new")
    return "the branch has no commit yet"


def damaged(repository: Repository) -> str:
    head = repository.git("rev-parse", "HEAD^{tree}")
    (repository.top / ".git" / "objects" / head[:2] / head[2:]).unlink()
    return "not a tree object"


def other_work_tree(repository: Repository) -> str:
    other = repository.top.parent / "other tree"
    other.mkdir()
    repository.git("config", "core.worktree", str(other))
    return "other tree"


@pytest.mark.parametrize("change", [no_repository, no_commit, damaged, other_work_tree])
def test_gits_own_reason_is_passed_on(
    repository: Repository, change: Callable[[Repository], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    reason = change(repository)
    code = code_of(repository.project)
    assert (code.commit, code.dirty) == (None, True)
    assert reason in code.problem


def test_a_repository_of_someone_else_is_gits_own_reason(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid():
        pytest.skip("only root can give files away")
    subprocess.run(["chown", "-R", "12345", str(repository.top)], check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    problem = code_of(repository.project).problem
    if not problem:
        pytest.skip("this machine trusts all repositories")
    assert "dubious ownership" in problem
    assert "git config --global --add safe.directory" in problem


def test_no_git_at_all(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code = code_of(repository.project)
    assert code.commit is None
    assert "git is not installed" in code.problem


def test_a_run_without_a_commit_says_so_once(repository: Repository) -> None:
    no_commit(repository)
    shown: list[object] = []
    environment = SimpleNamespace(name="dev", mode="exploratory")
    _check_code(environment, RunOptions(repository.project), shown.append, kept=True)  # type: ignore[arg-type]
    (note,) = shown
    assert "the branch has no commit yet" in str(note)


def test_the_default_base_is_where_the_branch_was_cut(repository: Repository) -> None:
    """Of ``main`` and ``origin/main`` the one that is nearer, whichever of them is ahead."""
    first = repository.git("rev-parse", "HEAD")
    repository.git("update-ref", "refs/remotes/origin/main", first)
    repository.write("notes.md", "on main, not pushed")
    second = repository.commit()
    assert default_base(repository.project) == (first, "the commit before the last")
    repository.git("checkout", "--quiet", "-b", "change")
    repository.write("notes.md", "on the branch")
    assert default_base(repository.project) == (second, "where this branch left main"), "not committed yet"
    repository.commit()
    assert default_base(repository.project) == (second, "where this branch left main")
    repository.git("update-ref", "refs/remotes/origin/main", second)
    repository.git("update-ref", "refs/heads/main", first)
    assert default_base(repository.project) == (second, "where this branch left origin/main")
    repository.git("checkout", "--quiet", "main")
    repository.write("notes.md", "not committed")
    assert default_base(repository.project) == (first, "the last commit")
