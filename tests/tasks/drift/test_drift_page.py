"""Charts of drift: bins that lose nobody, bars of text, and a page without text that acts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from html_page import Page, assert_is_closed, assert_is_well_formed
from hypothesis import given
from hypothesis import strategies as st
from populations_made import lake_of_runs, population
from processes import forked_command

from assay.tasks.drift.bins import Bins, bins_of
from assay.tasks.drift.charts import bars_text, bins_svg
from assay.tasks.drift.page import TITLES, write_drift
from assay.tasks.drift.populations import of_runs
from assay.tasks.drift.report import drift_report

_VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


@given(_VALUES, _VALUES)
def test_each_value_is_in_one_bin(before: list[float], after: list[float]) -> None:
    """Outliers count in the outer bins, and one value alone is a bin of its own."""
    bins = bins_of(np.array(before), np.array(after))
    assert (sum(bins.before), sum(bins.after)) == (len(before), len(after))
    assert len(bins.edges) == len(bins.before) + 1 == len(bins.after) + 1
    assert all(low < high for low, high in zip(bins.edges, bins.edges[1:], strict=False))


def test_bins_are_those_of_numpy() -> None:
    """Where no value is an outlier."""
    values = np.arange(48.0).repeat(100)
    bins = bins_of(values, values[:2400])
    expected, edges = np.histogram(values, bins=24, range=(0, 47))
    assert list(bins.before) == expected.tolist()
    assert bins.edges == pytest.approx(edges)


def test_bars_are_eighths_of_the_largest() -> None:
    """Nothing is blank; a single image among thousands is not."""
    assert bars_text([0, 1, 500, 1000]) == " ▁▄█"


def test_chart_compares_shares_and_not_counts() -> None:
    """Ten times as many images of the same distribution have the same heights."""
    drawn = bins_svg(Bins(edges=(0, 1, 2), before=(1, 3), after=(10, 30)))
    rects = re.findall(r'height="([\d.]+)" fill', drawn)
    points = re.search(r'points="([^"]+)"', drawn)
    assert rects == ["24.0", "72.0"]
    assert points is not None
    assert points[1] == "0.0,48.0 120.0,48.0 120.0,0.0 240.0,0.0"


def test_page_has_a_card_per_measure_and_escapes_names(tmp_path: Path) -> None:
    """A domain is text from outside; the page has neither scripts nor addresses."""
    one, other = population(60, seed=1), population(60, seed=2, shift=2.0)
    lake = lake_of_runs(tmp_path / "lake", one, other, domain="<script>alert(1)</script>")
    report = drift_report(lake, of_runs(lake), by="domain")
    (comparison,) = report.comparisons.values()
    text = Path(write_drift(report, tmp_path / "page.html")).read_text()
    page = Page(text)
    assert_is_closed(page)
    assert_is_well_formed(text)
    assert page.scripts == []
    assert "<script>alert(1)</script>" in page.text
    for measure in comparison.measures:
        assert TITLES[measure.name] in page.text
    assert text.count(' moved"') == len(comparison.shifted)
    assert text.count('<svg class="chart"') == sum(
        one.bins is not None for one in comparison.measures
    )


@pytest.mark.xdist_group("forked commands")
def test_command_writes_the_page_and_bars_that_the_terminal_has(tmp_path: Path) -> None:
    """Block characters where stdout is UTF-8, and none where it is not."""
    lake = lake_of_runs(tmp_path / "lake", population(60, seed=1), population(60, seed=2))
    given = ("audit", "drift", "--lake", lake.uri)
    done = forked_command(*given, "--page", "drift.html", cwd=tmp_path, env=os.environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"page        {tmp_path / 'drift.html'}" in done.stdout
    assert "█" in done.stdout
    assert (tmp_path / "drift.html").exists()
    bare = drift_report(lake, of_runs(lake)).text(has_bars=False)
    assert bare.isascii()
