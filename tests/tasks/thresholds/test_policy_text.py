"""The policy file to copy: read back, it is the policy with the two thresholds changed."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.tasks.decide.policy import Band, DetectorRules, Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.thresholds.policy_text import policy_template, policy_text

NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ['a"b', "a.b", "\x7f", "review_at = REVIEW_AT", "a\nreview_at = REVIEW_AT\nb", "€"]
)
SHARES = st.floats(0, 1)
BANDS = st.tuples(SHARES, SHARES).map(lambda ends: Band(review_at=min(ends), flag_at=max(ends)))


@st.composite
def policies(draw):
    """Policies with any domains under the detector, by its name or its id, and under another."""
    detectors = {}
    for name in draw(st.sets(st.sampled_from(["mini", "mini@1", "other"]), max_size=3)):
        own = draw(st.none() | BANDS)
        domains = draw(st.dictionaries(NAMES, BANDS, max_size=2))
        ends = {} if own is None else own.model_dump()
        detectors[name] = DetectorRules(**ends, domains=domains)
    return Policy(
        name="made-1",
        min_short_edge_px=draw(st.integers(0, 5000)),
        unlisted_domain=draw(st.sampled_from(["default", "review"])),
        default=draw(BANDS),
        detectors=detectors,
    )


@settings(deadline=None, max_examples=60)
@given(rules=policies(), band=BANDS, domain=st.none() | NAMES)
def test_only_the_two_thresholds_change(rules, band, domain):
    """The detector's own, or those of one domain under it; a domain's name is any text."""
    template = policy_template(rules, detector="mini@1", domain=domain)
    text = policy_text(template, review_at=band.review_at, flag_at=band.flag_at)
    made = policy_from_dict(tomllib.loads(text), source="page")
    assert made.band("mini@1", domain)[0] == band
    for detector in ("mini@1", "other@2"):
        known = rules.detectors.get(detector) or rules.detectors.get(detector.partition("@")[0])
        for name in (None, *(known.domains if known else ())):
            if detector == "mini@1" and name == domain:
                continue
            changed = detector == "mini@1" and name is None and domain is None
            assert changed or made.band(detector, name) == rules.band(detector, name)
    assert (made.name, made.default) == (rules.name, rules.default)
    assert made.min_short_edge_px == rules.min_short_edge_px


def test_the_text_of_the_packaged_policy():
    """The packaged policy with thresholds for a detector."""
    template = policy_template(load_policy(), detector="mini@0123", domain=None)
    assert policy_text(template, review_at=0.2, flag_at=0.9) == (
        'name = "default"\n'
        "min_short_edge_px = 440\n"
        'unlisted_domain = "default"\n\n'
        "[default]\nreview_at = 0.35\nflag_at = 0.65\n\n"
        '[detectors."mini"]\nreview_at = 0.2\nflag_at = 0.9\n'
    )
