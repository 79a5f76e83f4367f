"""The folder of a site: only what has changed is written, and many pages of one kind share compressed files.

Pages of one kind are files of their own up to ``PACK_FROM``; beyond that they are packed, by the CRC-32 of their names, into script files that hold them as JSON, compressed
(RFC 1951) and in base64 (RFC 4648), because a page that was opened from a folder may load scripts but no other files. What was read for a page is remembered by its digest, so
that a page whose inputs are the same is taken as it is.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json

INVENTORY = "api/site.json"
PACK_FROM = 300
"""So many pages of a kind are files of their own."""
_IN_A_PACK = 64
_LARGE = 1_000_000  # bytes of JSON
_FORMAT = 1
_SECTION = re.compile(r"(?=<section)")


class Page(NamedTuple):
    """A page that shares a file: the digest of its inputs, its title, and the part of it that is its own."""

    digest: str
    title: str
    part: str


def together(pages: Mapping[str, Page]) -> dict[str, Any]:
    """Pages as a shared file has them: what is alike in all of them, section by section, stands together, because deflate looks back 32 KiB only."""
    sections = [_SECTION.split(page.part) for page in pages.values()]
    count = max(map(len, sections), default=0)
    return {
        "names": list(pages),
        "digests": [page.digest for page in pages.values()],
        "titles": [page.title for page in pages.values()],
        "sections": [[one[at] if at < len(one) else "" for one in sections] for at in range(count)],
    }


def apart(shared: Mapping[str, Any]) -> dict[str, Page]:
    """The pages of a shared file by name."""
    parts = ("".join(sections) for sections in zip(*shared["sections"], strict=True))
    columns = (shared["names"], shared["digests"], shared["titles"], parts)
    return {name: Page(digest, title, part) for name, digest, title, part in zip(*columns, strict=True)}


class SiteFolder:
    """Where a site is written.

    Args:
        folder: it is there.
        made_with: a digest of all that decides how pages look; pages of another one are made anew.
    """

    def __init__(self, folder: Path, made_with: str) -> None:
        self._folder, self._made_with = folder, made_with
        self._before: Mapping[str, Any] = self._inventory()
        self._files: set[str] = set()
        self._inputs: dict[str, str] = {}
        self._pages: dict[str, dict[str, tuple[str, str, Callable[[], str]]]] = {}
        self.written = 0

    @property
    def is_known(self) -> bool:
        """Whether an earlier build by the same code is there, whose results may be used."""
        return bool(self._before)

    def earlier(self, name: str) -> Any:
        """The JSON that an earlier build by the same code wrote, None where there is none."""
        for file in (name, f"{name}.gz"):
            if self.is_known and file in self._before.get("files", ()):
                with suppress(OSError, ValueError, EOFError, zlib.error):
                    content = (self._folder / file).read_bytes()
                    return json.loads(gzip.decompress(content) if file.endswith(".gz") else content)
        return None

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file, unless it has this content already."""
        self._files.add(name)
        path, data = self._folder / name, content.encode() if isinstance(content, str) else content
        with suppress(OSError):
            if path.read_bytes() == data:
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.written += 1

    def write_json(self, name: str, value: object) -> None:
        """Write a file of the documented JSON; a large one is compressed, and its name ends with ``.gz``."""
        content = (json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n").encode()
        if len(content) > _LARGE:
            self.write(f"{name}.gz", gzip.compress(content, 9, mtime=0))
        else:
            self.write(name, content)

    def add(self, kind: str, name: str, title: str, inputs: object, render: Callable[[], str]) -> None:
        """Add a page of a kind; it is rendered when the pages are written, and only if its inputs are others than before.

        Args:
            kind: of the page, such as ``table``.
            name: that no other page of the kind has.
            title: of the page.
            inputs: all that the page depends on, which JSON can hold; no sets, whose order changes.
            render: makes the part of the page that is its own.
        """
        given = to_json([self._made_with, title, inputs])
        digest = hashlib.sha256(given).hexdigest()[:16]
        self._pages.setdefault(kind, {})[name] = (digest, title, render)

    def buckets(self, kind: str) -> int:
        """How many files the pages of a kind share, a power of two; 0 where each has its own."""
        count = len(self._pages.get(kind, ()))
        return bucket_count(count)

    def write_pages(self, kind: str, whole: Callable[[str, str], str]) -> None:
        """Write the pages of a kind.

        Args:
            kind: of the pages.
            whole: makes a page of a title and the part that is its own.
        """
        if buckets := self.buckets(kind):
            self._write_packs(kind, buckets)
            return
        for name, (digest, title, render) in self._pages.get(kind, {}).items():
            file = f"{kind}/{name}.html"
            self._inputs[file] = digest
            if self._before.get("inputs", {}).get(file) == digest and (self._folder / file).is_file():
                self._files.add(file)
                continue
            self.write(file, whole(title, render()))

    def finish(self) -> None:
        """Remove what an earlier build wrote and this one did not, and write down what is there."""
        for name in sorted(set(self._listed()) - self._files - {INVENTORY}):
            path = (self._folder / name).resolve()
            if path.is_relative_to(self._folder.resolve()) and path.is_file():
                path.unlink()
                with suppress(OSError):
                    path.parent.rmdir()
        found = {
            "format": _FORMAT,
            "made_with": self._made_with,
            "files": sorted(self._files),
            "inputs": dict(sorted(self._inputs.items())),
        }
        self.write(INVENTORY, json.dumps(found, separators=(",", ":")) + "\n")

    def _write_packs(self, kind: str, buckets: int) -> None:
        known = self._packed(kind)
        packs: dict[int, dict[str, Page]] = {number: {} for number in range(buckets)}
        for name, (digest, title, render) in sorted(self._pages[kind].items()):
            page = known.get(name)
            if page is None or page.digest != digest:
                page = Page(digest, title, render())
            packs[bucket(name, buckets)][name] = page
        for number, pages in packs.items():
            self.write(f"data/{kind}-{number:03d}.js", packed(f"{kind}-{number:03d}", together(pages)))

    def _packed(self, kind: str) -> dict[str, Page]:
        """The pages of a kind that an earlier build packed."""
        found: dict[str, Page] = {}
        for name in self._before.get("files", ()):
            if name.startswith(f"data/{kind}-"):
                with suppress(OSError, ValueError, KeyError, IndexError, TypeError, zlib.error):
                    found |= apart(unpacked((self._folder / name).read_text(encoding="utf-8")))
        return found

    def _listed(self) -> list[str]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return list(map(str, json.loads((self._folder / INVENTORY).read_bytes())["files"]))
        return []

    def _inventory(self) -> Mapping[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads((self._folder / INVENTORY).read_bytes())
            if (
                isinstance(found, dict)
                and found.get("made_with") == self._made_with
                and found.get("format") == _FORMAT
            ):
                return found
        return {}


def bucket_count(pages: int) -> int:
    """How many files so many pages share, a power of two; 0 where each has its own."""
    if pages <= PACK_FROM:
        return 0
    found = 1
    while found * _IN_A_PACK < pages:
        found *= 2
    return found


def bucket(name: str, buckets: int) -> int:
    """The number of the file that has a page."""
    return zlib.crc32(name.encode()) % buckets


def packed(name: str, value: object) -> str:
    """A script file that hands a value over under a name."""
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return f'slipwayData("{name}","{squeezed(plain)}");\n'


def squeezed(plain: bytes) -> str:
    """Bytes compressed (RFC 1951) and in base64."""
    found = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(found.compress(plain) + found.flush()).decode()


def unpacked(script: str) -> Any:
    """The value in such a file."""
    return json.loads(zlib.decompress(base64.b64decode(script.split('"')[3]), -15))
