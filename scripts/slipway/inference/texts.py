"""The text of one sample: what kind of file it is, how it is compressed and encoded, its beginning and its end.

Each file is read once, or twice where it is not UTF-8, as a stream.
"""

from __future__ import annotations

import codecs
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.landing.content import BLOCK, MalformedError, as_utf8, is_compressed, is_zip, uncompressed
from slipway.landing.formats import FileFormat, FileKind

HEAD = 1 << 20  # bytes of text that are looked at for the form of a file
_TAIL = 1 << 16
_UTF8, _DOS = "utf-8", "cp850"


@dataclass(frozen=True)
class SampleText:
    """What is known of a file by its bytes.

    Args:
        kind: what it is.
        encoding: of its text.
        is_ascii: whether every encoding would give the same text.
        head: the beginning as text, with whole lines only where there is more.
        tail: the end as text, from the beginning of a line on; empty where ``head`` is all.
        odd: signs that are not ASCII, of a file whose encoding is a guess.
    """

    kind: FileKind
    encoding: str = _UTF8
    is_ascii: bool = True
    head: str = ""
    tail: str = ""
    odd: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the head is all of the text."""
        return not self.tail


def read_text(path: Path, scratch: Path) -> SampleText:
    """Look at a file.

    Raises:
        MalformedError: it cannot be read by landing, whatever the contract says.
        OSError: it cannot be read at all.
    """
    with path.open("rb") as stream:
        start = stream.read(8)
    if start.startswith(b"PAR1"):
        return SampleText(FileKind.PARQUET)
    if is_zip(start) and _is_workbook(path):
        return SampleText(FileKind.XLSX)
    if not start:
        raise MalformedError("is empty")
    encoding, is_ascii = _encoding(path, scratch)
    head, tail = _ends(decoded(path, encoding, scratch))
    kind = FileKind.CSV
    if (first := head.lstrip("\ufeff \r\n\t")[:2]).startswith("{"):
        kind = FileKind.JSON
    elif first in ("[{", "[\n", "[\r"):
        raise MalformedError(
            "begins a JSON list, and each line has to be one JSON object: have the producer write JSON lines"
        )
    is_guess = encoding in ("cp1252", _DOS)
    return SampleText(kind, encoding, is_ascii, head, tail, tuple(_odd_signs(head)) if is_guess else ())


def decoded(path: Path, encoding: str, scratch: Path) -> Iterator[bytes]:
    """A file as UTF-8, uncompressed."""
    return as_utf8(_blocks(path, scratch), encoding)


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _blocks(path: Path, scratch: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        blocks = iter(lambda: stream.read(BLOCK), b"")
        first = next(blocks, b"")
        whole = _again(first, blocks)
        yield from uncompressed(whole, FileFormat(), scratch) if is_compressed(first) else whole


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _encoding(path: Path, scratch: Path) -> tuple[str, bool]:
    """The encoding, and whether the text is ASCII. What is not UTF-8 and has no mark is taken for Windows' Western one."""
    decoder = codecs.getincrementaldecoder(_UTF8)()
    is_first, is_ascii, is_utf8, holes = True, True, True, False
    for block in _blocks(path, scratch):
        if is_first and (marked := _by_mark(block[:64])):
            return marked, False
        is_first = False
        is_ascii = is_ascii and block.isascii()
        if is_utf8:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                is_utf8 = False
        holes = holes or any(sign in block for sign in b"\x81\x8d\x8f\x90\x9d")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        is_utf8 = False
    if is_utf8:
        return _UTF8, is_ascii
    return (_DOS if holes else "cp1252"), False  # these five bytes are no signs of cp1252


def _by_mark(start: bytes) -> str:
    """The encoding that a byte order mark or zeros in every second byte say; empty for none."""
    if start.startswith(codecs.BOM_UTF8):
        return ""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(start) > 3 and any(start):
        if not any(start[1::2]):
            return "utf-16-le"
        if not any(start[::2]):
            return "utf-16-be"
    return ""


def _ends(blocks: Iterator[bytes]) -> tuple[str, str]:
    head, tail, is_more = io.BytesIO(), b"", False
    for block in blocks:
        room = HEAD - head.tell()
        if room > 0:
            head.write(block[:room])
        if len(block) > room:
            is_more = True
            tail = (tail + block)[-_TAIL:]
    start = head.getvalue()
    if not is_more:
        return start.decode(), ""
    start = start[: start.rfind(b"\n") + 1] or start
    rest = tail[tail.find(b"\n") + 1 :].decode("utf-8", "ignore")
    return start.decode("utf-8", "ignore"), rest or "\n"


def _odd_signs(text: str) -> list[str]:
    """The signs that are not ASCII, the most frequent ones first."""
    return [sign for sign, _ in Counter(sign for sign in text if not sign.isascii()).most_common(8)]
