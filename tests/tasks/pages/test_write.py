"""Pages are written atomically, in the lake and to files that users name."""

from pathlib import Path

import pytest

from assay.data.errors import StoreError
from assay.data.store.lake import Lake
from assay.tasks.pages.write import write_page


def test_a_page_may_go_to_any_folder(tmp_path: Path) -> None:
    """A file may have any name, and an existing page is replaced."""
    out = tmp_path / "100% [new]" / "report.html"
    for page in (b"one", b"two"):
        assert write_page(out, page) == str(out)
        assert out.read_bytes() == page
    assert list(out.parent.iterdir()) == [out]


def test_a_page_of_a_lake_has_an_address_in_it(tmp_path: Path) -> None:
    """The address lies below the lake's folder or prefix."""
    lake = Lake(tmp_path / "lake")
    assert lake.write("reports/x.html", b"page") == lake.path("reports", "x.html")
    assert (tmp_path / "lake" / "reports" / "x.html").read_bytes() == b"page"


def test_a_place_that_cannot_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    """A path below a file cannot be written."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot write .*/file/report\.html"):
        write_page(tmp_path / "file" / "report.html", b"page")
