"""The content of a landed file as blocks of UTF-8: uncompressed, decoded, without the lines above its header and below its records.

All of it streams: a block is read, given on and forgotten, so that a file may be larger than the memory.
"""

from __future__ import annotations

import codecs
import io
import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from slipway.counts import plural
from slipway.landing.formats import FileFormat, FileKind

BLOCK = 1 << 19  # bytes; larger ones leave the processor's cache
_FREE = 64 << 20  # bytes that come out of a compressed file before its ratio is looked at
_LINE_END = re.compile(rb"\r\n|\r|\n")
_GZIP, _ZSTD, _ZIP, _OLE = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_EMPTY_ZIP = b"PK\x05\x06"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DAMAGES = (
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
)
_AGAIN = "the producer has to send it again, whole"


class MalformedError(Exception):
    """A file is not what its feed's contract says.

    Args:
        what: what is wrong, without a full stop.
        on_line: whether it is the line that comes next; then ``what`` goes on after "line 5".
    """

    def __init__(self, what: str, *, on_line: bool = False) -> None:
        super().__init__(what)
        self.on_line = on_line


def is_zip(start: bytes) -> bool:
    """Whether a file begins as a zip archive does, which an XLSX file is, too."""
    return start.startswith((_ZIP, _EMPTY_ZIP))


def is_compressed(start: bytes) -> bool:
    """Whether a file begins as compressed files do that are read here."""
    return start.startswith((_GZIP, _ZSTD)) or is_zip(start)


def check_kind(start: bytes, kind: FileKind) -> None:
    """Refuse what is plainly a file of another kind, by its first bytes.

    Raises:
        MalformedError: it is one; the message names the setting.
    """
    if start.startswith(_OLE):
        raise MalformedError(
            "is a workbook of the old .xls format, or one with a password: save it as .xlsx without one"
        )
    if start.startswith(b"PAR1"):
        raise MalformedError(
            f"is a Parquet file, and the contract says {kind}: set format: parquet of the server"
        )
    if kind is FileKind.CSV and start.lstrip(codecs.BOM_UTF8 + b" \r\n\t").startswith(
        (b'{"', b'[{"', b"[\n", b"{\n")
    ):
        raise MalformedError("looks like JSON, and the contract says csv: set format: json of the server")


def checked_inside(blocks: Iterator[bytes], kind: FileKind) -> Iterator[bytes]:
    """The same blocks, which were compressed.

    Raises:
        MalformedError: they are compressed still, or plainly a file of another kind.
    """
    first = next(blocks, b"")
    while first and len(first) < 4 and (more := next(blocks, b"")):
        first += more
    if is_compressed(first):
        raise MalformedError("is compressed twice: the producer has to compress it once")
    check_kind(first, kind)
    yield from _chain(first, blocks)


def uncompressed(blocks: Iterator[bytes], style: FileFormat, scratch: Path) -> Iterator[bytes]:
    """The blocks of a file as they were before it was compressed by gzip, zstd or zip, which its first bytes tell.

    Args:
        blocks: of the file.
        style: what it is expected to be, and how large.
        scratch: where an archive is put that cannot be read from front to end.

    Raises:
        MalformedError: it is cut off or damaged, an archive of several files, or suspiciously large.
    """
    first = next(blocks, b"")
    while first and len(first) < 4 and (more := next(blocks, b"")):
        first += more
    whole = _chain(first, blocks)
    if first.startswith(_GZIP):
        yield from _limited(_gunzipped(_counted(whole)), style, "gzip")
    elif first.startswith(_ZSTD):
        yield from _limited(_unzstd(_counted(whole)), style, "zstd")
    elif is_zip(first):
        yield from _unzipped(whole, style, scratch)
    else:
        yield from whole


class _Counted:
    """Blocks, and how many bytes of them were taken."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = next(self._blocks)
        self.taken += len(block)
        return block


def _counted(blocks: Iterable[bytes]) -> _Counted:
    return _Counted(blocks)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _limited(found: tuple[_Counted, Iterator[bytes]], style: FileFormat, what: str) -> Iterator[bytes]:
    source, blocks = found
    given = 0
    for block in blocks:
        given += len(block)
        if given > style.max_bytes:
            raise MalformedError(_too_large(what, style))
        if given > _FREE and given > style.max_ratio * source.taken:
            raise MalformedError(_too_dense(what, style))
        yield block


def _too_large(what: str, style: FileFormat) -> str:
    return (
        f"is more than {style.max_bytes:,} bytes without its {what} compression: if the producer means that, "
        "set maxUncompressedBytes in the contract"
    )


def _too_dense(what: str, style: FileFormat) -> str:
    return (
        f"grows to more than {style.max_ratio} times its size without its {what} compression, as files do that are made "
        "to fill a disk: if the producer means that, set maxCompressionRatio in the contract"
    )


def _gunzipped(source: _Counted) -> tuple[_Counted, Iterator[bytes]]:
    def blocks() -> Iterator[bytes]:
        stream, ended, given = zlib.decompressobj(wbits=31), False, 0
        for block in source:
            rest = block
            while rest:
                if ended:
                    rest = rest.lstrip(b"\0")  # padding between members
                    if not rest:
                        break
                    if not rest.startswith(_GZIP[: len(rest)]):
                        raise MalformedError(f"has other bytes after its gzip data: {_AGAIN}")
                    stream, ended = zlib.decompressobj(wbits=31), False
                try:
                    out = stream.decompress(rest, BLOCK)
                except zlib.error as error:
                    raise MalformedError(
                        f"is damaged: its gzip data cannot be read after {given:,} bytes ({error}): {_AGAIN}"
                    ) from None
                given += len(out)
                if out:
                    yield out
                ended = stream.eof
                rest = stream.unused_data if ended else stream.unconsumed_tail
        if not ended:
            raise MalformedError(f"is cut off: its gzip data ends after {given:,} bytes of content: {_AGAIN}")

    return source, blocks()


class _Reader(io.RawIOBase):
    """Blocks as a stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        """It can be read, and nothing else."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most a number of bytes; nothing at the end."""
        if not self._rest:
            self._rest = next(self._blocks, b"")
        end = len(self._rest) if size < 0 else size
        found, self._rest = self._rest[:end], self._rest[end:]
        return found


def _unzstd(source: _Counted) -> tuple[_Counted, Iterator[bytes]]:
    def blocks() -> Iterator[bytes]:
        import pyarrow as pa

        given = 0
        try:
            with pa.CompressedInputStream(pa.PythonFile(_Reader(source), "r"), "zstd") as stream:
                while block := stream.read(BLOCK):
                    given += len(block)
                    yield block
        except (OSError, pa.ArrowException) as error:
            cut = "Truncated" in str(error)
            what = "is cut off: its zstd data ends" if cut else "is damaged: its zstd data cannot be read"
            raise MalformedError(f"{what} after {given:,} bytes of content: {_AGAIN}") from None

    return source, blocks()


def spooled(blocks: Iterable[bytes], scratch: Path) -> Any:
    """The bytes of a file where they can be read in any order, until the stream is closed."""
    found = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - whoever asked for it closes it
    for block in blocks:
        found.write(block)
    found.seek(0)
    return found


def _unzipped(blocks: Iterator[bytes], style: FileFormat, scratch: Path) -> Iterator[bytes]:
    with spooled(blocks, scratch) as file:
        archive = opened_zip(file)
        names = [one.filename for one in archive.infolist()]
        if "xl/workbook.xml" in names:
            raise MalformedError(
                f"is an Excel workbook, and the contract says {style.kind}: set format: xlsx of the server"
            )
        members = [one for one in archive.infolist() if not one.is_dir() and "__MACOSX/" not in one.filename]
        if len(members) != 1:
            listed = ", ".join(one.filename[:60] for one in members[:3]) + (" …" if len(members) > 3 else "")
            raise MalformedError(
                f"is a zip archive of {plural(len(members), 'file')}{': ' + listed if listed else ''}: "
                "the producer has to send one file in each archive"
            )
        check_sizes(members, style)
        if members[0].flag_bits & 1:
            raise MalformedError("is a zip archive with a password: the producer has to send it without one")
        try:
            with archive.open(members[0]) as stream:
                while block := stream.read(BLOCK):
                    yield block
        except _DAMAGES as error:
            raise MalformedError(f"is damaged: its zip data cannot be read ({error}): {_AGAIN}") from None


def opened_zip(file: Any) -> zipfile.ZipFile:
    """An archive.

    Raises:
        MalformedError: it is cut off or damaged.
    """
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise MalformedError(
            f"is cut off or damaged: it begins as a zip archive ({error}): {_AGAIN}"
        ) from None


def check_sizes(members: Iterable[zipfile.ZipInfo], style: FileFormat) -> None:
    """Refuse an archive of members that are too large; no more than they say is ever read of them.

    Raises:
        MalformedError: one is.
    """
    for member in members:
        if member.file_size > style.max_bytes:
            raise MalformedError(_too_large("zip", style))
        if member.file_size > _FREE and member.file_size > style.max_ratio * max(member.compress_size, 1):
            raise MalformedError(_too_dense("zip", style))


def as_utf8(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Text in UTF-8, without a byte order mark.

    Args:
        blocks: of the text as it is.
        encoding: the contract's.

    Raises:
        MalformedError: it is not in this encoding.
    """
    first = next(blocks, b"")
    while first and len(first) < 4 and (more := next(blocks, b"")):
        first += more
    _check_mark(first, encoding)
    codec = codecs.lookup(encoding).name.removesuffix("-sig")
    whole = _chain(first, blocks)
    return _passed(whole) if codec == "utf-8" else _decoded(whole, encoding, codec)


def _check_mark(start: bytes, encoding: str) -> None:
    """Refuse what begins with the byte order mark of another encoding, or has the zeros that UTF-16 has."""
    codec = codecs.lookup(encoding).name.removesuffix("-sig")
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), "")
    if marked and not codec.startswith(marked):
        raise MalformedError(
            f"begins with the byte order mark of {marked}, and is read as {encoding}: set encoding: {marked}"
        )
    if not marked and not codec.startswith(("utf-16", "utf-32")) and len(start) > 3:
        some = start[:64]
        for zeros, name in ((some[1::2], "utf-16-le"), (some[::2], "utf-16-be")):
            if not any(zeros) and any(some):
                raise MalformedError(
                    f"has a zero in every second byte, as {name} has, and is read as {encoding}: set encoding: {name}"
                )


def _passed(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Text that is UTF-8 already; it is looked at, and given on as it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_first = True
    for block in blocks:
        if not block.isascii() or decoder.getstate()[0]:
            before = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                yield _unmarked(block[: max(error.start - before, 0)], is_first=is_first)
                raise _not_utf8(error) from None
        yield _unmarked(block, is_first=is_first)
        is_first = False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from None


def _unmarked(block: bytes, *, is_first: bool) -> bytes:
    return block.removeprefix(codecs.BOM_UTF8) if is_first else block


def _not_utf8(error: UnicodeDecodeError) -> MalformedError:
    found = error.object[error.start : error.start + 1]
    hint = ""
    try:
        sign = found.decode("cp1252")
        if sign.isprintable():
            hint = f", which is {sign} in cp1252"
    except UnicodeDecodeError:
        pass
    return MalformedError(
        f"is not UTF-8 (byte {found.hex()}{hint}): have the producer write UTF-8, or name the encoding in the contract"
        f"{', as in encoding: cp1252' if hint else ''}",
        on_line=True,
    )


def _decoded(blocks: Iterator[bytes], encoding: str, codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)()
    is_first = True

    def encoded(text: str) -> bytes:
        nonlocal is_first
        if is_first and text:
            is_first, text = False, text.removeprefix("\ufeff")
        return text.encode("utf-8", "surrogatepass")

    for block in _chain_end(blocks):
        before = decoder.getstate()[0]
        try:
            text = decoder.decode(block or b"", final=block is None)
        except UnicodeDecodeError as error:
            good = bytes(error.object[: error.start]) if error.start else b""
            if good:
                yield encoded(
                    good.decode(codec, "ignore") if not codec.startswith(("utf-16", "utf-32")) else ""
                )
            found = error.object[error.start : error.start + 1].hex()
            cut = " and seems to be cut off" if block is None and before else ""
            raise MalformedError(
                f"is not {encoding} (byte {found}){cut}: name the encoding that the producer writes in the contract",
                on_line=True,
            ) from None
        if text:
            yield encoded(text)


def _chain_end(blocks: Iterator[bytes]) -> Iterator[bytes | None]:
    yield from blocks
    yield None


def without_title(blocks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """Text without its first lines, and never fewer than there are."""
    if not lines:
        yield from blocks
        return
    left, held = lines, b""
    for block in blocks:
        if not left:
            yield block
            continue
        held += block
        # a line end at the very end of what is known may be the first half of one
        while left and (end := _LINE_END.search(held)) and end.end() < len(held):
            held, left = held[end.end() :], left - 1
        if not left:
            yield held
            held = b""
        elif len(held) > _FREE:
            raise MalformedError(f"has a line of more than {_FREE:,} bytes above its header")
    while left and (end := _LINE_END.search(held)):
        held, left = held[end.end() :], left - 1
    if held and not left:
        yield held


def without_footer(blocks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """Text without its last lines; blank lines at the very end are not counted, and left out, too."""
    if not lines:
        yield from blocks
        return
    held = b""
    for block in blocks:
        held += block
        cut = _start_of_last(held, lines)
        if cut:
            yield held[:cut]
            held = held[cut:]
        elif len(held) > _FREE:
            raise MalformedError(f"has a line of more than {_FREE:,} bytes near its end")


def _start_of_last(text: bytes, lines: int) -> int:
    """Where the last lines begin; 0 where there are no more. It is not known yet what blank lines at the end are."""
    at = len(text.rstrip(b"\r\n"))
    for _ in range(lines):
        before = max(text.rfind(b"\n", 0, at), text.rfind(b"\r", 0, at))
        if before < 0:
            return 0
        at = before
        start = before + 1
        if text[before : before + 1] == b"\n" and text[before - 1 : before] == b"\r":
            at -= 1
    return start
