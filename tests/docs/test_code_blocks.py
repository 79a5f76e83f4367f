"""Blocks of code in the pages are code."""

from __future__ import annotations

import ast
import subprocess
from typing import TYPE_CHECKING

import duckdb
import jinja2
import yaml

if TYPE_CHECKING:
    from tests.docs.conftest import Block, Page

LANGUAGES = {"bash", "console", "dockerfile", "ini", "json", "mermaid", "python", "sh", "sql", "text", "yaml"}


def blocks(pages: dict[str, Page], *languages: str) -> list[tuple[str, Block]]:
    found = [
        (page.name, block) for page in pages.values() for block in page.blocks if block.language in languages
    ]
    assert found
    return found


def test_every_block_names_a_known_language(pages: dict[str, Page]) -> None:
    unknown = {(page.name, block.language) for page in pages.values() for block in page.blocks} - {
        (page.name, language) for page in pages.values() for language in LANGUAGES
    }
    assert unknown == set()


def test_every_fence_is_closed(pages: dict[str, Page]) -> None:
    assert [page.name for page in pages.values() if "```" in page.prose] == []


def test_yaml_parses(pages: dict[str, Page]) -> None:
    """JSON is YAML, too."""
    for name, block in blocks(pages, "yaml", "json"):
        assert yaml.safe_load(block.text), name


def test_python_parses(pages: dict[str, Page]) -> None:
    for name, block in blocks(pages, "python"):
        assert ast.parse(block.text, name).body


def test_shell_parses(pages: dict[str, Page]) -> None:
    for name, block in blocks(pages, "sh", "bash"):
        done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, done.stderr)


def test_sql_parses(pages: dict[str, Page]) -> None:
    """With Jinja the template parses; without, DuckDB's parser takes it."""
    for name, block in blocks(pages, "sql"):
        if "{{" in block.text or "{%" in block.text:
            assert jinja2.Environment(autoescape=True).parse(block.text).body, name
        else:
            assert duckdb.extract_statements(block.text), name
