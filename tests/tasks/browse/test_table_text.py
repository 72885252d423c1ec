"""Tables of text: aligned, within the width of a terminal, and free of what steers it."""

import pytest
from rich.cells import cell_len

from assay.tasks.browse.table_text import Column, draw_table

COLUMNS = (
    Column(name="id"),
    Column(name="n", is_right=True, hide=1),
    Column(name="why", hide=2),
    Column(name="seen as"),
)
ROW = ("abc", "7", "because of it", "file:///pictures/folder/photo.jpg")


def test_without_a_width_every_column_is_shown():
    """Cells stand below their headings, numbers flush."""
    assert draw_table(COLUMNS, [ROW, ("defg", "1,000", "-", "x")], width=None).splitlines() == [
        "id        n  why            seen as",
        "abc       7  because of it  file:///pictures/folder/photo.jpg",
        "defg  1,000  -              x",
    ]


def test_a_narrow_terminal_loses_columns_by_rank():
    """The highest rank first; the last line names what is hidden."""
    assert draw_table(COLUMNS, [ROW], width=40).splitlines() == [
        "id   n  seen as",
        "abc  7  …le:///pictures/folder/photo.jpg",
        "hidden on this width: why; --json prints all",
    ]
    assert draw_table(COLUMNS, [ROW], width=20).splitlines()[0] == "id   seen as"


@pytest.mark.parametrize(("width", "n_cells"), [(60, 33), (33, 25), (15, 10), (10, 8), (1, 8)])
def test_the_end_of_a_long_text_stays(width, n_cells):
    """The last column takes the cells that are left, which are 8 at least."""
    line = draw_table(COLUMNS, [ROW], width=width).splitlines()[1]
    shown = line.split("  ")[-1]
    assert cell_len(shown) == n_cells
    assert ROW[-1].endswith(shown.lstrip("…"))


def test_wide_signs_take_two_cells():
    """Columns stay aligned behind signs that are two cells wide."""
    lines = draw_table(COLUMNS, [("写真", "1", "-", "a"), ("abcd", "2", "-", "b")], width=None)
    assert [cell_len(line) for line in lines.splitlines()[1:]] == [15, 15]
    cut = draw_table(COLUMNS, [("a", "1", "-", "写" * 30)], width=30).splitlines()[1]
    assert cell_len(cut) <= 30


def test_text_from_outside_steers_nothing():
    """Escape codes, line ends and signs that turn text round are shown as one sign or a blank."""
    evil = "\x1b[31mred\n\u202egpj.exe"
    line = draw_table(COLUMNS, [("a", "1", "-", evil)], width=None).splitlines()[1]
    assert line == "a   1  -    �[31mred �gpj.exe"
