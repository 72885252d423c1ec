"""What a result says of its thresholds: the guarantee, precision, domains, reliability."""

from __future__ import annotations

from html.parser import HTMLParser

import polars as pl
import pytest
from lakes import Made, Shot, decided_again, lake_of
from scipy.special import expit

from assay.data.errors import ConfigError
from assay.flows.results.moderation import Moderation
from assay.tasks.calibrate.calibrate import calibrate
from assay.tasks.calibrate.guarantee import guarantee_of
from assay.tasks.decide.policy_file import load_policy

MAX_CELL_BYTES = 300_000
ODD = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """60 labelled reals and 25 fakes, decided by the packaged policy, then by a calibrated one."""
    shots = [
        Shot(
            name=f"{i}",
            prob=float(expit(-5 + 0.1 * i)),
            seed=i,
            label="real" if i < 60 else "fake",
            domain=ODD if i % 2 else None,
            size=(96, 96),
        )
        for i in range(85)
    ]
    made = lake_of(tmp_path_factory.mktemp("guarantee") / "lake", shots)
    base = load_policy().model_copy(update={"min_short_edge_px": 0})
    policy = calibrate(made.lake, guarantee_of("fpr=5%@95%"), base=base).policy
    decided_again(made, policy, "r-2")
    return made


@pytest.fixture
def result(made: Made) -> Moderation:
    return Moderation(run_id="r-2", lake=made.lake.uri)


@pytest.fixture
def before(made: Made) -> Moderation:
    return Moderation(run_id=made.run_id, lake=made.lake.uri)


class Tags(HTMLParser):
    """Names of the elements of a cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the name."""
        self.names.add(tag)


def test_the_cell_of_a_result_names_the_guarantee(result: Moderation, before: Moderation) -> None:
    """Or that there is none, in a sentence."""
    assert "Of 100 real images like the 60 calibrated on, at most 5" in result._repr_html_()
    assert "No guarantee: these thresholds rest on no labelled" in before._repr_html_()


def test_a_guarantee_has_its_sentence_its_precision_and_its_domains(result: Moderation) -> None:
    """The 25 fakes lie above all reals: precision rises with the share of fakes, 1 % to 50 %."""
    guarantee = result.guarantee()
    assert guarantee.holds
    assert str(guarantee) == guarantee.sentence
    precision = guarantee.precision()
    assert precision["share_fake"].to_list() == [0.001, 0.01, 0.1, 0.5]
    assert precision["precision"].is_sorted()
    assert precision.filter(~pl.col("precision").is_between(pl.col("low"), "high")).is_empty()
    rows = guarantee.domains().sort("images")
    assert rows["domain"].to_list() == [ODD, "no domain"]
    assert rows["flagged"].sum() == 25
    assert rows["labelled_fake"].to_list() == rows["labelled"].to_list()


def test_a_run_without_calibration_has_no_guarantee_and_says_what_to_run(
    before: Moderation,
) -> None:
    """No exception: to know that there is none is an answer."""
    guarantee = before.guarantee()
    assert not guarantee.holds
    assert guarantee.precision().is_empty()
    assert "assay calibrate --lake" in guarantee._repr_html_()
    with pytest.raises(ConfigError, match=r"label 20 or more real and fake images each"):
        before.reliability()


def test_a_diagram_has_the_ranges_of_the_labelled_images(result: Moderation) -> None:
    """85 images in ten ranges; each with images has a share within its interval."""
    diagram = result.reliability()
    rows = diagram.to_polars()
    assert rows["images"].sum() == 85
    some = rows.filter(pl.col("images") > 0)
    assert some.filter(~pl.col("share_fake").is_between("share_low", "share_high")).is_empty()
    assert some.filter(~pl.col("mean_prob").is_between("low", "high")).is_empty()
    assert round((some["share_fake"] * some["images"]).sum()) == 25
    assert diagram._repr_svg_().startswith("<svg")


def test_cells_have_no_script_no_text_from_outside_as_markup_and_stay_small(
    result: Moderation,
) -> None:
    """The name of a domain is text."""
    for shown in (result.guarantee(), result.reliability(), result):
        html = shown._repr_html_()
        assert len(html.encode()) < MAX_CELL_BYTES
        assert not Tags(html).names & {"script", "iframe", "link", "form"}
    assert "&lt;script&gt;alert(1)" in result.guarantee()._repr_html_()
