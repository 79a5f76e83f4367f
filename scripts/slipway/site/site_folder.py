"""The folder of a site: only what has changed is written, and many pages of one kind share compressed files.

Pages of one kind are files of their own up to ``PACK_FROM``; beyond that they are put together, by the CRC-32 of their names, into script files that hold them as JSON, compressed
(RFC 1951) and in base64 (RFC 4648), because a page that was opened from a folder may load scripts but no other files. What was read for a page is remembered by its digest, so
that a page whose inputs are the same is taken as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

INVENTORY = "api/site.json"
PACK_FROM = 300
"""So many pages of a kind are files of their own."""
_IN_A_PACK = 64
_FORMAT = 1


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
        if not self.is_known or name not in self._before.get("files", ()):
            return None
        with suppress(OSError, ValueError):
            return json.loads((self._folder / name).read_bytes())
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
        """Write a file of the documented JSON."""
        self.write(name, json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n")

    def add(self, kind: str, name: str, title: str, inputs: object, render: Callable[[], str]) -> None:
        """Add a page of a kind; it is rendered when the pages are written, and only if its inputs are others than before.

        Args:
            kind: of the page, such as ``table``.
            name: that no other page of the kind has.
            title: of the page.
            inputs: all that the page depends on, as JSON.
            render: makes the part of the page that is its own.
        """
        text = json.dumps([self._made_with, title, inputs], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
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
        self.write_json(INVENTORY, found)

    def _write_packs(self, kind: str, buckets: int) -> None:
        known = self._packed(kind)
        packs: dict[int, dict[str, list[str]]] = {number: {} for number in range(buckets)}
        for name, (digest, title, render) in sorted(self._pages[kind].items()):
            page = known.get(name)
            if page is None or page[0] != digest:
                page = [digest, title, render()]
            packs[bucket(name, buckets)][name] = page
        for number, pages in packs.items():
            self.write(f"data/{kind}-{number:03d}.js", packed(f"{kind}-{number:03d}", pages))

    def _packed(self, kind: str) -> dict[str, list[str]]:
        """The pages of a kind that an earlier build put together."""
        found: dict[str, list[str]] = {}
        for name in self._before.get("files", ()):
            if name.startswith(f"data/{kind}-"):
                with suppress(OSError, ValueError, zlib.error):
                    found |= unpacked((self._folder / name).read_text(encoding="utf-8"))
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
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = base64.b64encode(squeezed.compress(plain) + squeezed.flush()).decode()
    return f'slipwayData("{name}","{data}");\n'


def unpacked(script: str) -> Any:
    """The value in such a file."""
    return json.loads(zlib.decompress(base64.b64decode(script.split('"')[3]), -15))
