"""Whatever file of a project is edited, added or removed, its digest is another one; and it is the same again when that is undone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.code import versions
from slipway.code.versions import covers, digest_of_code
from slipway.errors import NotFoundError

FILES = (
    "dbt_project.yml",
    "profiles.yml",
    "packages.yml",
    "contracts/feed.odcs.yaml",
    "models/a/one.sql",
    "models/a/_models.yml",
    "seeds/s.csv",
    "snapshots/s.sql",
    "tests/t.sql",
    "macros/m.sql",
    "dbt_packages/p/macros/n.sql",
    "parts/more.sql",
)


def project(folder: Path) -> Path:
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "macro-paths: [macros, parts]\n" if name == "dbt_project.yml" else f"{name}\n"
        path.write_text(text, encoding="utf-8")
    return folder


@settings(max_examples=60)
@given(
    name=st.sampled_from(FILES[1:]),
    edit=st.one_of(
        st.just("remove"), st.just("rename"), st.just("next to"), st.binary(min_size=1, max_size=9)
    ),
)
def test_any_edit_changes_the_digest(name: str, edit: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.path", [])  # modules are another test's
        folder = project(Path(temporary))
        path, before = folder / name, digest_of_code(folder)
        content = path.read_bytes()
        match edit:
            case "remove":
                path.unlink()
            case "rename" | "next to":
                other = path.with_name(f"other_{path.name}")
                if path.parent == folder:  # only files of certain names are read there
                    other = folder / "models" / path.name
                other.write_bytes(content)
                if edit == "rename":
                    path.unlink()
            case bytes():
                path.write_bytes(content + edit)
        assert digest_of_code(folder) != before
        if not path.parent.samefile(folder) or edit in ("remove", "rename"):
            for found in folder.rglob("*"):
                if found.is_file() and found.relative_to(folder).as_posix() not in FILES:
                    found.unlink()
        (folder / "models" / path.name).unlink(missing_ok=True)
        path.write_bytes(content)
        assert digest_of_code(folder) == before


def test_a_module_that_can_be_imported_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, place = project(tmp_path / "project"), tmp_path / "modules"
    (place / "own").mkdir(parents=True)
    monkeypatch.setattr("sys.path", [str(place)])
    before = digest_of_code(folder)
    (place / "own" / "scale.py").write_text("FACTOR = 2\n", encoding="utf-8")
    with_module = digest_of_code(folder)
    (place / "own" / "scale.py").write_text("FACTOR = 3\n", encoding="utf-8")
    assert len({before, with_module, digest_of_code(folder)}) == 3


def test_slipways_own_modules_are_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not an installed package, such as in its own repository: they are read once, not as code, too."""
    folder, package = project(tmp_path / "project"), tmp_path / "scripts" / "slipway"
    adapter = package.parent / "dbt" / "adapters" / "slipway" / "__init__.py"
    for module in (package / "runs" / "end.py", adapter):
        module.parent.mkdir(parents=True)
        module.write_text("", encoding="utf-8")
    monkeypatch.setattr("sys.path", [str(package.parent)])
    monkeypatch.setattr(versions, "_PACKAGE", package)
    code = digest_of_code(folder)
    for module in (package / "runs" / "end.py", adapter):
        software = versions.digest_of_software()
        module.write_text("OTHER = 1\n", encoding="utf-8")
        assert versions.digest_of_software() != software
    assert digest_of_code(folder) == code
    (package.parent / "own.py").touch()
    assert digest_of_code(folder) != code


def test_a_file_from_elsewhere_is_not_covered(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    assert covers(folder, [folder / name for name in FILES]) is None
    assert covers(folder, [folder / "elsewhere" / "x.sql"]) == folder / "elsewhere" / "x.sql"


def test_folders_with_computed_names_are_not_known(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "dbt_project.yml").write_text("model-paths: [\"{{ env_var('M') }}\"]\n", encoding="utf-8")
    with pytest.raises(NotFoundError):
        digest_of_code(folder)


def test_an_edited_macro_of_the_installed_package_is_other_software(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "slipway"
    shutil.copytree(Path(versions.__file__).parents[1], package)
    monkeypatch.setattr(versions, "_PACKAGE", package)
    before = versions.digest_of_software()
    macro = package / "dbt" / "package" / "macros" / "relations" / "ref.sql"
    text = macro.read_text(encoding="utf-8")
    macro.write_text(f"{text}\n", encoding="utf-8")
    assert versions.digest_of_software() != before
    macro.write_text(text, encoding="utf-8")
    assert versions.digest_of_software() == before
