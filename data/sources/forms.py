"""What a file holds, by its suffix and its first bytes: an archive, a table, a list, or else."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from ..errors import InputError
from ..images.sniff import Kind, sniff
from .files import is_sidecar
from .lists.list_files import PACKED_SUFFIXES, read_head
from .lists.listings import has_header, looks_like_list
from .packed import unpacker_of


class Form(StrEnum):
    """What a file that is a SOURCE holds."""

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
# Tables that are not read, of which some are ZIP archives or text to look at.
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
    """Return what an existing file holds; `Form.FILE` for an image and for whatever else.

    Raises:
        InputError: An archive or a table of a kind that is not read, or no regular file.
        OSError: It cannot be opened.
    """
    name = Path(path).name.lower()
    for suffix, form in _BY_SUFFIX.items():
        if name.endswith(suffix):
            return form
    if not Path(path).is_file():
        raise InputError(f"{path}: neither a file nor a folder")
    if (other := _OTHER_TABLES.get(Path(name).suffix)) is not None:
        raise InputError(f"{path}: {other}, which is not read; save it as CSV or Parquet")
    with Path(path).open("rb") as file:
        head = file.read(1024)
    packed = next((suffix for suffix in PACKED_SUFFIXES if name.endswith(suffix)), "")
    list_form = _LIST_SUFFIXES.get(Path(name.removesuffix(packed)).suffix)
    is_packed = unpacker_of(path) is not None
    if list_form is not None and (is_packed or not packed):
        if is_sidecar(path):
            return Form.FILE
        return _form_of_text(path) if list_form is Form.TXT else list_form
    seen = sniff(head)
    if is_packed:
        return _form_of_packed(path, seen.name)
    if seen.kind is Kind.ARCHIVE:
        if seen.name in _BY_MAGIC:
            return _BY_MAGIC[seen.name]
        raise InputError(f"{path}: {seen.name} archives are not read; unpack it, or use zip or tar")
    return Form.FILE


def is_text_file(path: str) -> bool:
    """Return whether a file is by its name a list of lines, packed or not, and no sidecar."""
    name = Path(path).name.lower()
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return _LIST_SUFFIXES.get(Path(name).suffix) is Form.TXT and not is_sidecar(path)


def _form_of_text(path: str) -> Form:
    """Return whether a text is a list with a header, one path per line, or neither."""
    try:
        if has_header(path):
            return Form.CSV
        return Form.TXT if looks_like_list(path) else Form.FILE
    except InputError:
        return Form.FILE


def _form_of_packed(path: str, packing: str) -> Form:
    """Return what is in a file that was packed by itself: an archive, or a list."""
    try:
        head = read_head(path)
    except InputError:
        # Not text: an archive, or damage that opening it as one will name.
        return Form.TAR
    if sniff(head).name == "TAR":
        return Form.TAR
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}:
        return Form.JSON
    form = _form_of_text(path)
    if form is Form.FILE:
        raise InputError(
            f"{path}: {packing}, and neither a TAR archive nor a list of images inside; name it"
            " by what it holds, such as list.csv.gz, or unpack it"
        )
    return form
