"""Form of a source file (archive, table, list or other), by its suffix and its first bytes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from ..errors import InputError
from ..images.sniff import Kind, sniff
from ..object_addresses import is_object
from .buckets.open_file import read_start
from .files import is_sidecar
from .lists.list_files import PACKED_SUFFIXES, read_head
from .lists.listings import has_header, looks_like_list
from .packed import unpacker_of


class Form(StrEnum):
    """Form of a file that is a SOURCE."""

    ZIP = "zip"
    TAR = "tar"
    PARQUET = "parquet"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    TXT = "txt"
    FILE = "file"


_BY_SUFFIX: Final = {
    **dict.fromkeys((".zip", ".cbz"), Form.ZIP),
    **dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2"), Form.TAR),
    **dict.fromkeys((".tar.xz", ".txz", ".tar.zst", ".tzst"), Form.TAR),
    **dict.fromkeys((".parquet", ".parq", ".pq"), Form.PARQUET),
}
# Unsupported tables; by content some of them are ZIP archives or text.
_OTHER_TABLES: Final = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), "a spreadsheet"),
    **dict.fromkeys((".feather", ".arrow", ".orc", ".avro"), "a table of another kind"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb"), "a database"),
}
_LIST_SUFFIXES: Final = {
    ".jsonl": Form.JSONL,
    ".ndjson": Form.JSONL,
    ".json": Form.JSON,
    ".csv": Form.CSV,
    ".tsv": Form.CSV,
    ".txt": Form.TXT,
    ".lst": Form.TXT,
}
_BY_MAGIC: Final = {
    "ZIP": Form.ZIP,
    **dict.fromkeys(("TAR", "gzip", "bzip2", "xz", "Zstandard"), Form.TAR),
    "Parquet": Form.PARQUET,
}


def form_of(path: str) -> Form:
    """Return the form of an existing file; `Form.FILE` for an image or any other content.

    Raises:
        InputError: The file is an unsupported archive or table, or not a regular file.
        OSError: The file cannot be opened.
    """
    name = Path(path).name.lower()
    for suffix, form in _BY_SUFFIX.items():
        if name.endswith(suffix):
            return form
    if not is_object(path) and not Path(path).is_file():
        raise InputError(f"{path}: neither a file nor a folder")
    if (other := _OTHER_TABLES.get(Path(name).suffix)) is not None:
        raise InputError(f"{path}: {other}, which is not supported; save it as CSV or Parquet")
    head = read_start(path)
    packed = next((suffix for suffix in PACKED_SUFFIXES if name.endswith(suffix)), "")
    list_form = _LIST_SUFFIXES.get(Path(name.removesuffix(packed)).suffix)
    is_packed = unpacker_of(path) is not None
    if list_form is not None and (is_packed or not packed):
        if is_sidecar(path):
            return Form.FILE
        return _form_of_text(path) if list_form is Form.TXT else list_form
    sniffed = sniff(head)
    if is_packed:
        return _form_of_packed(path, sniffed.name)
    if sniffed.kind is Kind.ARCHIVE:
        if sniffed.name in _BY_MAGIC:
            return _BY_MAGIC[sniffed.name]
        raise InputError(
            f"{path}: {sniffed.name} archives are not supported; unpack it, or use zip or tar"
        )
    return Form.FILE


def is_text_file(path: str) -> bool:
    """Return whether a file is by name a list of lines, compressed or not, and not a sidecar."""
    name = Path(path).name.lower()
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return _LIST_SUFFIXES.get(Path(name).suffix) is Form.TXT and not is_sidecar(path)


def _form_of_text(path: str) -> Form:
    """Return the form of a text file: a list with a header, one path per line, or neither."""
    try:
        if has_header(path):
            return Form.CSV
        return Form.TXT if looks_like_list(path) else Form.FILE
    except InputError:
        return Form.FILE


def _form_of_packed(path: str, packing: str) -> Form:
    """Return the form inside a compressed file: an archive or a list."""
    try:
        head = read_head(path)
    except InputError:
        # Not text: an archive, or damage that opening it as an archive will report.
        return Form.TAR
    if sniff(head).name == "TAR":
        return Form.TAR
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}:
        return Form.JSON
    form = _form_of_text(path)
    if form is Form.FILE:
        raise InputError(
            f"{path}: {packing}, with neither a TAR archive nor a list of images inside; give it"
            " the suffix of its content, such as list.csv.gz, or unpack it"
        )
    return form
