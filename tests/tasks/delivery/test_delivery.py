"""What would be flagged is scored again as it is delivered, once, and flagged only if it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from factories import encoded, noise, photo
from lakes import KEY, START, Shot, lake_of
from tiny_models import timm_tensors, write_timm

from assay.data.images.decode import PLAIN, decode_rgb
from assay.data.store.lake import Lake
from assay.data.vocabulary import Decision, DecisionReason
from assay.flows.cli import main
from assay.synth.laundering import DELIVERIES
from assay.tasks.decide.decide import decide
from assay.tasks.decide.deliveries_pending import NEXT_MARGIN, deliveries_pending
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import policy_from_dict
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector

SIZES = [(120 + 10 * seed, 100) for seed in range(8)]
POLICY = """
name = "test"
min_short_edge_px = 0
unlisted_domain = "default"
[default]
review_at = 0.4
flag_at = 0.5
"""


def rules(**changes: Any) -> Policy:
    values: dict[str, Any] = {
        "name": "test",
        "min_short_edge_px": 440,
        "unlisted_domain": "default",
        "default": {"review_at": 0.4, "flag_at": 0.5},
    }
    return policy_from_dict(values | changes, source="test")


def decided(policy: Policy, flag_limit: float | None = None, **changes: Any) -> list[str]:
    row = {
        "image_id": "a",
        "detector": "mini@1",
        "status": "scored",
        "prob_fake": 0.9,
        "width_px": 640,
        "height_px": 480,
        "domain": None,
        "ai_declared": None,
    }
    frame = decide(pl.DataFrame([row | changes]), policy, flag_limit=flag_limit)
    return [frame["decision"][0], *frame["reasons"][0]]


@pytest.mark.parametrize(
    ("low", "decision"), [(-0.001, "review"), (0.0, "flag"), (2.0, "flag"), (None, "flag")]
)
def test_a_flag_holds_at_the_threshold_and_not_below(low, decision):
    """A logit of 0 is a score of 0.5, the threshold; without deliveries a flag stands."""
    reasons = decided(rules(), delivered_low=low)
    assert reasons[0] == decision
    assert (DecisionReason.UNSTABLE.value in reasons) == (decision == "review")
    assert DecisionReason.AT_OR_ABOVE_FLAG.value in reasons


def test_a_delivery_never_flags_nor_clears():
    """Below the flag threshold, deliveries of any score change nothing."""
    for prob in (0.1, 0.45):
        plain = decided(rules(), prob_fake=prob)
        for low in (-9.0, 9.0):
            assert decided(rules(), prob_fake=prob, delivered_low=low) == plain


def test_under_fdr_a_flag_holds_by_its_p_value():
    """The p-value of the lowest delivery is held against the limit of the batch."""
    policy = rules(fdr=0.1, calibration="c-0123456789ab")
    for p_value, decision in ((0.02, "flag"), (0.03, "review")):
        row = decided(policy, 0.02, p_real=0.01, delivered_p_real=p_value, delivered_low=-9.0)
        assert row[0] == decision


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> tuple[Lake, str, list[dict[str, Any]]]:
    """Moderate eight photos of two sides of the threshold, twice, with the delivery check."""
    folder = tmp_path_factory.mktemp("delivery")
    (folder / "p").mkdir()
    raws = [
        encoded((noise if seed % 2 else photo)(seed=seed, size=size), "PNG")
        for seed, size in enumerate(SIZES)
    ]
    for number, raw in enumerate(raws):
        (folder / "p" / f"{number}.png").write_bytes(raw)
    tensors = timm_tensors(seed=1)
    first = load_detector(str(write_timm(folder / "first", tensors)), device="cpu")
    forms = [
        [raw, *(each.apply(np.asarray(decode_rgb(raw, PLAIN))) for each in DELIVERIES)]
        for raw in raws
    ]
    logits = np.stack(
        [first.forward(np.stack([preprocess(x, first.profile) for x in one]))[0] for one in forms]
    )
    own, lowest = logits[:, 0], logits[:, 1:].min(axis=1)
    # The threshold is put where some flags hold and some do not.
    edges = [
        t
        for t in np.sort(logits.ravel())
        if (lowest > t).any() and ((own > t) > (lowest > t)).any()
    ]
    tensors["vit.head.bias"] = tensors["vit.head.bias"] - float(edges[len(edges) // 2]) - 1e-3
    model = str(write_timm(folder / "model", tensors))
    (folder / "policy.toml").write_text(POLICY)
    results = [moderated(folder, model, *more) for more in ((), ("--delivery", "flags"))]
    results.append(moderated(folder, model, "--delivery", "flags"))
    return Lake(str(folder / "lake"), create=False), model, results


def moderated(folder: Path, model: str, *more: str) -> dict[str, Any]:
    out = folder / "out.json"
    with pytest.MonkeyPatch.context() as patch, out.open("w") as file:
        patch.setattr("sys.stdout", file)
        main(
            [
                *("moderate", str(folder / "p"), "--lake", str(folder / "lake")),
                *("--detector", model, "--policy", str(folder / "policy.toml")),
                *("--backend", "torch", "--json", "--quiet", *more),
            ]
        )
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_deliveries_are_off_then_scored_once(checked):
    """A run scores none by default, those of its flags if asked, and none again."""
    lake, _, (off, on, again) = checked
    assert off["deliveries"] == 0
    assert on["deliveries"] == lake.n_rows("deliveries") > 0
    assert again["deliveries"] == 0
    assert again["decisions"] == on["decisions"]


def test_only_flags_are_scored_again_and_all_deliveries_only_of_those_that_hold(checked):
    """A flag that falls at the first delivery, or is far above there, has one row, others all."""
    lake, _, _ = checked
    scores = {
        row[0]: row[1]
        for row in lake.scan("scores").select("image_id", "logit").collect().iter_rows()
    }
    rows = lake.scan("deliveries").collect()
    flagged = {image_id for image_id, logit in scores.items() if logit >= 0}
    assert set(rows["image_id"]) == flagged
    names = [delivery.name for delivery in DELIVERIES]
    for image_id in flagged:
        mine = dict(
            rows.filter(pl.col("image_id") == image_id).select("delivery", "logit").iter_rows()
        )
        assert set(mine) == set(names if 0 <= mine[names[0]] < NEXT_MARGIN else names[:1])


@pytest.mark.parametrize(("above", "is_pending"), [(2.9, True), (3.1, False)])
def test_the_next_delivery_is_scored_of_flags_that_are_not_far_above(
    tmp_path: Path, above: float, is_pending: bool
) -> None:
    """The first delivery is 2.9 or 3.1 logits above a threshold of 0.5."""
    made = lake_of(tmp_path / "lake", [Shot(name="a", prob=0.99)])
    row = {
        "image_id": made.ids["a"],
        **KEY.as_row(),
        "backend": "torch-cpu",
        "delivery": DELIVERIES[0].name,
        "status": "scored",
        "reason": None,
        "logit": above,
        "run_id": made.run_id,
        "scored_at": START,
    }
    made.lake.append("deliveries", [row], txn="deliveries")
    left = deliveries_pending(made.lake, KEY, rules(), mode="flags")
    assert (left["image_id"].to_list() == [made.ids["a"]]) is is_pending


def test_a_flag_stands_if_every_delivery_is_flagged(checked):
    """The decision of each image follows from its lowest logit over image and deliveries."""
    lake, _, _ = checked
    low = lake.scan("deliveries").group_by("image_id").agg(low=pl.col("logit").min()).collect()
    latest = lake.scan("decisions").sort("decided_at").unique("image_id", keep="last").collect()
    words = set()
    for image_id, lowest in low.iter_rows():
        (row,) = latest.filter(pl.col("image_id") == image_id).to_dicts()
        expected = Decision.FLAG if lowest >= 0 else Decision.REVIEW
        assert row["decision"] == expected.value
        assert (DecisionReason.UNSTABLE.value in row["reasons"]) == (lowest < 0)
        words.add(row["decision"])
    assert words == {"flag", "review"}


def test_a_delivery_is_scored_from_its_own_file(checked):
    """The logit is that of the encoded delivery, as if it were an image of its own."""
    lake, model, _ = checked
    detector = load_detector(model, device="cpu")
    for row in lake.scan("deliveries").head(3).collect().iter_rows(named=True):
        (delivery,) = [each for each in DELIVERIES if each.name == row["delivery"]]
        rgb = np.asarray(decode_rgb(lake.image(row["image_id"]), detector.profile.decode))
        pixels = preprocess(delivery.apply(rgb), detector.profile)
        assert row["logit"] == pytest.approx(float(detector.forward(pixels[None])[0][0]), abs=1e-3)
