"""How often an image and a form in which it is sent on get opposite decisions, and what stops it.

A pair is an image and one of twelve re-shippings; it flips if one of the two is flagged and the
other cleared. Each rule is applied to all forms alike, so that a re-shipped image is checked as if
it had been uploaded. A rule scores a flag again in some forms, until the first that does not hold.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from assay.data.images.decode import PLAIN, decode_rgb
from assay.data.images.inspect_image import inspect_image
from assay.data.images.pixel_facts import detail_of, measure_pixels
from assay.synth.laundering import DELIVERIES, conditions
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.detector.detector import Detector
from assay.tasks.detector.inputs.preprocess import preprocess
from assay.tasks.detector.load import load_detector
from assay.tasks.proportion import share

RESHIPPINGS = conditions(
    (
        *("jpeg-90", "jpeg-70", "jpeg-50", "webp-80", "webp-50", "half", "double"),
        *("half-and-back", "crop-80", "screenshot", "thumbnails", "multi-hop"),
    )
)
CHOSEN = tuple(each.name for each in DELIVERIES)
J50, HALF = CHOSEN
J70, W80, THUMB = "jpeg-70", "webp-80", "thumbnail-640"
BY_NAME = {each.name: each for each in (*DELIVERIES, *conditions((J70, W80)))}
FORMS = (*BY_NAME, THUMB)
MIN_DETAIL = 0.38
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Form:
    """What the rules read of one form of an image.

    Attributes:
        logit: Its own logit.
        short_px: Its short edge.
        detail: Its detail.
        delivered: Logits of its deliveries by name; empty if it is not flagged.
        cpu_s: CPU time of each of them, from the bytes of the form, in seconds.
    """

    logit: float
    short_px: int
    detail: float | None
    delivered: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for a flag.

    Attributes:
        name: Name of the rule.
        forms: Names of the deliveries that must reach the threshold too, in order.
        min_detail: Least detail; None for no rule on it.
        margin: Distance above the threshold, in logits, from which nothing is scored again.
    """

    name: str
    forms: tuple[str, ...] = ()
    min_detail: float | None = MIN_DETAIL
    margin: float = np.inf

    def passes(self, form: Form, flag_logit: float) -> tuple[list[str], bool]:
        """Return the deliveries that are scored of a flag, and whether it holds under them."""
        if form.logit - flag_logit >= self.margin:
            return [], True
        scored: list[str] = []
        for name in self.forms:
            scored.append(name)
            if form.delivered[name] < flag_logit:
                return scored, False
        return scored, True


RULES = (
    Rule("thresholds and size", min_detail=None),
    Rule("detail", ()),
    Rule("JPEG 70", (J70,)),
    Rule("JPEG 50", (J50,)),
    Rule("half size", (HALF,)),
    Rule("JPEG 70, WebP 80", (J70, W80)),
    Rule("JPEG 70, half size", (J70, HALF)),
    Rule("JPEG 50, half size (chosen)", CHOSEN),
    Rule("half size, JPEG 50", CHOSEN[::-1]),
    Rule("chosen, up to 3 above", CHOSEN, margin=3),
    Rule("chosen, up to 2 above", CHOSEN, margin=2),
    Rule("all five", FORMS),
)


def delivered(name: str, rgb: Image.Image) -> bytes:
    """Return a delivery of an image as a file."""
    if name in BY_NAME:
        return BY_NAME[name].apply(np.asarray(rgb))
    first = _jpeg(_resized(rgb, min(1, 1080 / max(rgb.size))), 82)
    with Image.open(io.BytesIO(first)) as again:
        return _jpeg(_resized(again, min(1, 640 / max(again.size))), 75)


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(round(image.width * factor), 8), max(round(image.height * factor), 8))
    return image if factor == 1 else image.resize(size, Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=2)
    return out.getvalue()


def logit_of(detector: Detector, raw: bytes) -> float:
    """Return the logit of a file."""
    return float(detector.forward(preprocess(raw, detector.profile)[None])[0][0])


def form_of(detector: Detector, raw: bytes, flag_logit: float) -> Form:
    """Return what the rules read of a file."""
    rgb = decode_rgb(raw, PLAIN)
    form = Form(logit_of(detector, raw), min(rgb.size), detail_of(rgb.convert("L")))
    if form.logit >= flag_logit:
        for name in FORMS:
            start_s = time.process_time()
            file = delivered(name, decode_rgb(raw, PLAIN))
            form.delivered[name] = logit_of(detector, file)
            form.cpu_s[name] = time.process_time() - start_s
    return form


def may_be_judged(form: Form, rule: Rule, min_short_px: int) -> bool:
    """Return whether size and detail let a form be decided by its score."""
    is_enlarged = rule.min_detail and form.detail is not None and form.detail < rule.min_detail
    return form.short_px >= min_short_px and not is_enlarged


def decision(form: Form, rule: Rule, limits: dict[str, float], min_short_px: int) -> str:
    """Return the decision on a form under a rule."""
    if not may_be_judged(form, rule, min_short_px):
        return "review"
    if form.logit >= limits["flag_at"]:
        _, holds = rule.passes(form, limits["flag_at"])
        return "flag" if holds else "review"
    return "review" if form.logit >= limits["review_at"] else "clear"


def main() -> None:
    """Print a line per rule: flips, images with any flip, review, passes, CPU; and falls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--n", type=int, default=273)
    parser.add_argument("--detector", default="mini")
    parser.add_argument("--cpu-only", action="store_true", help="score the originals only")
    args = parser.parse_args()
    paths = sorted(p for p in args.images.rglob("*") if p.suffix.lower() in SUFFIXES)
    chosen = np.random.default_rng(18).permutation(len(paths))[: args.n]
    detector = load_detector(args.detector)
    policy = load_policy()
    band, _ = policy.band(detector.detector_id)
    limits = {
        name: float(np.log(prob / (1 - prob)))
        for name, prob in (("flag_at", band.flag_at), ("review_at", band.review_at))
    }
    forms: list[dict[str, Form]] = []
    base_s = 0.0
    for number in chosen:
        raw = paths[number].read_bytes()
        start_s = time.process_time()
        inspect_image(raw)
        measure_pixels(raw)  # a rule on detail takes it of every image
        logit_of(detector, raw)
        base_s += time.process_time() - start_s
        files = {"original": raw}
        if not args.cpu_only:
            rgb = np.asarray(decode_rgb(raw, PLAIN))
            files |= {each.name: each.apply(rgb) for each in RESHIPPINGS}
        forms.append(
            {name: form_of(detector, file, limits["flag_at"]) for name, file in files.items()}
        )
    n_forms = 0 if args.cpu_only else len(RESHIPPINGS)
    print(f"{len(forms)} images, {n_forms} re-shippings, {detector.detector_id}")
    for rule in RULES:
        line(rule, forms, limits, policy.min_short_edge_px, base_s)
    falls([each["original"] for each in forms], limits["flag_at"])


def line(
    rule: Rule,
    forms: list[dict[str, Form]],
    limits: dict[str, float],
    min_short_px: int,
    base_s: float,
) -> None:
    """Print the figures of a rule; its CPU time is by that of reading and scoring."""
    flips: Counter[str] = Counter()
    n_any = n_review = n_flags = n_passes = 0
    more_s = 0.0
    for each in forms:
        words = {name: decision(form, rule, limits, min_short_px) for name, form in each.items()}
        flips.update(
            name for name in words if {words["original"], words[name]} == {"flag", "clear"}
        )
        n_any += {"flag", "clear"} <= set(words.values())
        n_review += words["original"] == "review"
        original = each["original"]
        if original.logit >= limits["flag_at"] and may_be_judged(original, rule, min_short_px):
            n_flags += 1
            scored, _ = rule.passes(original, limits["flag_at"])
            n_passes += len(scored)
            more_s += sum(original.cpu_s[name] for name in scored)
    n = len(forms)
    n_pairs = sum(len(each) - 1 for each in forms)
    # Without re-shippings there is no pair, and no flip was looked for.
    shares = (
        f" flips {flips.total() / n_pairs:.2%} of pairs; {n_any / n:.1%} of images in any form;"
        if n_pairs
        else ""
    )
    print(
        f"{rule.name:28}{shares} review {n_review / n:.1%} of originals;"
        f" {n_passes / n:.2f} passes, {1 + more_s / base_s:.2f} times the CPU with"
        f" {n_flags / n:.0%} flagged without it, {more_s / base_s * n / max(n_flags, 1):.2f} of an"
        f" image's per such flag{f'; {dict(flips)}' if n_pairs else ''}"
    )


def falls(originals: list[Form], flag_logit: float) -> None:
    """Print how many flags do not hold by the distance of their logit above the threshold."""
    for above in (0, 1, 2, 3):
        some = [one for one in originals if one.delivered and one.logit - flag_logit >= above]
        n_fallen = sum(min(one.delivered[name] for name in CHOSEN) < flag_logit for one in some)
        if some:
            print(
                f"{above} or more above flag_at: {n_fallen} of {len(some)} do not hold,"
                f" {share(n_fallen, len(some)).text()}"
            )


if __name__ == "__main__":
    main()
