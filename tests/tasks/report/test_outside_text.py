"""Text from outside on the report: it is text wherever it stands, in the script's data too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
from html_page import Page, assert_is_closed
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import DETECTOR

from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.decide.policy import Band
from assay.tasks.pages.captions import visible
from assay.tasks.pages.histogram import N_BINS
from assay.tasks.promise.promise import Promise, ThresholdPromise
from assay.tasks.report.domains import Domains
from assay.tasks.report.facts import ReportFacts
from assay.tasks.report.grid import grid_rows
from assay.tasks.report.page import render_page
from assay.tasks.report.sections import Sections
from assay.tasks.report.thresholds import Cells, grouped, steps_of
from assay.tasks.runs.run_record import RunRecord

TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "\u2028\u2029\u202e\x00",
        "\"' onmouseover=alert(1) x='",
        "{{ 7 * 7 }}",
        "&lt;b&gt;",
    ]
)


@given(name=TEXTS, domain=TEXTS, reason=TEXTS, source=TEXTS)
@settings(max_examples=40, deadline=None)
def test_no_text_from_outside_leaves_its_place(
    name: str, domain: str, reason: str, source: str
) -> None:
    """Whatever names, domains, reasons and sources are, the page has the same tags and scripts."""
    plain, odd = (
        page_of(name=n, domain=d, reason=r, source=s)
        for n, d, r, s in [("n", "d", "r", "s"), (name, domain, reason, source)]
    )
    assert_is_closed(odd)
    assert [tag for tag, _ in odd.tags] == [tag for tag, _ in plain.tags]
    assert odd.code == plain.code
    page_data = odd.json("page-data")
    assert page_data["grid"]["domains"] == [visible(domain)]
    assert page_data["grid"]["reasons"] == [[reason, reason]]
    assert page_data["groups"][0][0] == visible(domain)


def page_of(*, name: str, domain: str, reason: str, source: str) -> Page:
    """Return the page of one image with given texts, without a lake."""
    row = {
        "image_id": "5" * 64,
        "source_uri": f"file:///x/{name}",
        "domain": domain,
        "prob_fake": 0.9,
        "decision": "flag",
        "reasons": [reason],
        "label": None,
    }
    rows = pl.DataFrame([row], schema_overrides={"label": pl.String}).with_columns(
        view_prob=pl.lit(None, pl.Float64), width_px=1, height_px=1, n_bytes=1
    )
    steps = steps_of([])
    cells = Cells(None, steps)
    cells.add(rows)
    band = Band(review_at=0.5, flag_at=0.5)
    groups, by_group = grouped(cells.total(), steps, {domain: band})
    domains = Domains()
    domains.add(rows)
    sections = Sections(
        steps=steps,
        groups=groups,
        own=[False],
        policies=[],
        cells=by_group,
        band=band,
        domains=domains.rows(),
        grid=grid_rows(rows),
        flag_at=[0.5],
        n_images=1,
        all_images=[row],
        promise=_promise(domain),
    )
    figures = ReportFacts(
        n_images=1,
        n_scored=1,
        decisions={"clear": 0, "review": 0, "flag": 1},
        reasons={reason: 1},
        histogram={"no label": [0] * (N_BINS - 1) + [1]},
        highest=[row],
    )
    run = RunRecord(
        run_id="r-1",
        flow="moderate",
        status="completed",
        params={"batch_id": "b", "detector": DETECTOR, "sources": [source]},
        counts={},
        code_version="0.1.0",
        started_at=datetime(2026, 3, 1, tzinfo=UTC),
        finished_at=None,
    )
    return Page(render_page(run, "lake", figures, None, {}, sections))


def _promise(domain: str) -> Promise:
    """Return a promise with thresholds of all domains together and of one."""
    one = ThresholdPromise(
        domain=domain,
        n_reals=60,
        n_fakes=2,
        flag_at=0.7,
        state="holds",
        n_reals_flagged=1,
        n_fakes_flagged=1,
    )
    return Promise(
        next_step="assay calibrate",
        calibration_id="c-000000000000",
        guarantee=guarantee_of("fpr=5%"),
        thresholds=(replace(one, domain=None), one),
    )
