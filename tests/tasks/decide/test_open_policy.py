"""The policy file to copy: read back, it is the policy with the thresholds changed."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.tasks.decide.open_policy import open_policy
from assay.tasks.decide.policy import Band, DetectorRules, PixelRules, Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict

OPEN = ("review_at = REVIEW_AT", "flag_at = FLAG_AT")
NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ['a"b', "a.b", "\x7f", "review_at = REVIEW_AT", "a\nreview_at = REVIEW_AT\nb", "€"]
)
SHARES = st.floats(0, 1)


def filled(text, review_at, flag_at):
    """Return the text with its open lines filled in, as the script of the pages does."""
    lines = dict(zip(OPEN, (f"review_at = {review_at!r}", f"flag_at = {flag_at!r}"), strict=True))
    return "\n".join(lines.get(line, line) for line in text.split("\n"))


@st.composite
def bands(draw):
    """Thresholds in order, which may flag or not."""
    low, high = sorted((draw(SHARES), draw(SHARES)))
    return Band(review_at=low, flag_at=high, may_flag=draw(st.booleans()))


@st.composite
def policies(draw):
    """Policies with any domains under the detector, by its name or its id, and under another."""
    detectors = {}
    for name in draw(st.sets(st.sampled_from(["mini", "mini@1", "other"]), max_size=3)):
        own = draw(st.none() | bands())
        domains = draw(st.dictionaries(NAMES, bands(), max_size=2))
        ends = {} if own is None else own.model_dump()
        detectors[name] = DetectorRules(**ends, domains=domains)
    calibration = draw(st.none() | st.just("c-0123456789ab"))
    return Policy(
        name="made-1",
        min_short_edge_px=draw(st.integers(0, 5000)),
        unlisted_domain=draw(st.sampled_from(["default", "review"])),
        default=draw(bands()),
        pixels=draw(st.none() | st.just(PixelRules(min_detail=0.38, graphics="review"))),
        detectors=detectors,
        calibration=calibration,
        fdr=draw(st.none() | st.just(0.1)) if calibration else None,
    )


@settings(deadline=None, max_examples=60)
@given(rules=policies(), ends=st.tuples(SHARES, SHARES).map(sorted), domain=st.none() | NAMES)
def test_only_the_open_thresholds_change(rules, ends, domain):
    """Those of one domain, or of all images whose domain has none of its own."""
    text = filled(open_policy(rules, detector="mini@1", domain=domain), *ends)
    made = policy_from_dict(tomllib.loads(text), source="page")
    band = Band(review_at=ends[0], flag_at=ends[1])
    known = rules.detectors.get("mini@1") or rules.detectors.get("mini")
    for name in (domain, None, *(known.domains if known else ())):
        is_open = name == domain
        before, was_listed = rules.band("mini@1", name)
        assert made.band("mini@1", name) == (
            band if is_open else before,
            was_listed or (name is not None and name == domain),
        )
    other = rules.detectors.get("other")
    for name in (None, *(other.domains if other else ())):
        assert made.band("other@2", name) == rules.band("other@2", name)
    kept = ("name", "default", "min_short_edge_px", "unlisted_domain", "calibration")
    assert [getattr(made, name) for name in kept] == [getattr(rules, name) for name in kept]
    assert made.fdr is None


def test_the_text_of_the_packaged_policy():
    """The packaged policy with thresholds for a detector."""
    text = open_policy(load_policy(), detector="mini@0123")
    assert filled(text, 0.2, 0.9) == (
        'name = "default"\n'
        "min_short_edge_px = 440\n"
        'unlisted_domain = "default"\n'
        'copies = "together"\n\n'
        "[default]\nreview_at = 0.35\nflag_at = 0.65\n\n"
        '[pixels]\nmin_detail = 0.38\ngraphics = "judge"\n\n'
        '[detectors."mini"]\nreview_at = 0.2\nflag_at = 0.9\n'
    )


def test_a_policy_may_be_called_like_an_open_threshold():
    """Its name stays a text."""
    policy = load_policy().model_copy(update={"name": "REVIEW_AT"})
    text = filled(open_policy(policy, detector="mini@1"), 0.2, 0.8)
    assert tomllib.loads(text)["name"] == "REVIEW_AT"
