"""Presets, memory plans and estimates describe a generator before it is loaded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.errors import ConfigError, SynthError
from assay.synth.generators.estimate import announce
from assay.synth.generators.memory import best_plan, parse_memory, plan_of
from assay.synth.generators.presets import LARGE, LARGE_TURBO, MEDIUM, PRESETS, SMALL


@pytest.mark.parametrize("preset", [*PRESETS.values(), SMALL], ids=lambda p: p.name)
def test_what_is_fitted_can_be_made(preset):
    """Any size, fitted to the model and padded to multiples of 16, passes its check."""
    for width, height in itertools.product((64, 700, 1024, 3000, 8000), repeat=2):
        fitted = preset.fitted(width, height)
        padded = [-(-side // 16) * 16 for side in fitted]
        assert padded[0] * padded[1] <= preset.max_pixels
        assert max(padded) <= preset.max_side_px


def test_presets_are_the_publishers_settings():
    """They are not the pipeline's defaults of 28 steps at guidance 7."""
    assert (LARGE.steps, LARGE.guidance) == (40, 4.5)
    assert (LARGE_TURBO.steps, LARGE_TURBO.guidance) == (4, 0.0)
    assert (MEDIUM.steps, MEDIUM.guidance, MEDIUM.skip_layers) == (50, 4.0, (7, 8, 9))
    MEDIUM.check_size(1024, 2000)
    with pytest.raises(SynthError, match="areas from 512x512"):
        LARGE.check_size(2048, 2048)


def test_a_plan_of_memory_fits_and_the_plainest_is_taken():
    """By hand, Large in bf16 with T5 is 2 * (8.146 + 0.124 + 0.695 + 4.762 + 0.084) = 27.62 GB."""
    plain = plan_of(LARGE, precision="bf16", t5="keep", width_px=1024, height_px=1024)
    assert sum(plain.component_gb.values()) == pytest.approx(27.62, abs=0.01)
    assert best_plan(LARGE, 80e9, width_px=1024, height_px=1024) == plain
    small = best_plan(LARGE, 24e9, width_px=1024, height_px=1024)
    assert small.device_gb <= 0.9 * 24
    assert (small.t5, small.offload) == ("keep", "model")
    tight = best_plan(MEDIUM, 12e9, width_px=1024, height_px=1024, quantisers=())
    assert tight.device_gb <= 0.9 * 12
    # On a CPU nothing can wait elsewhere; int8 halves T5 before it is given up.
    alone = best_plan(
        MEDIUM, 18e9, width_px=1024, height_px=1024, quantisers=["int8"], takes_turns=False
    )
    assert (alone.t5, alone.transformer, alone.offload) == ("int8", "bf16", "none")
    with pytest.raises(SynthError, match=r"memory is 2\.0 GB"):
        best_plan(LARGE, 2e9, width_px=1024, height_px=1024)


@pytest.mark.parametrize(
    ("t5", "t5_gb", "measured_gb"),
    [("keep", 9.52, 18.9), ("int8", 6.08, 15.3), ("nf4", 4.31, 13.7)],
)
def test_a_quantised_t5_keeps_part_of_its_weights(t5, t5_gb, measured_gb):
    """By hand: 1.138 of 4.762 billion stay in bf16, so nf4 takes 2 * 1.138 + 0.56 * 3.624 GB.

    The peaks of Medium at 1024 px were measured on an H100 with bitsandbytes.
    """
    plan = plan_of(MEDIUM, precision="bf16", t5=t5, width_px=1024, height_px=1024)
    assert plan.component_gb["text_encoder_3"] == pytest.approx(t5_gb, abs=0.01)
    assert plan.device_gb == pytest.approx(measured_gb, abs=0.3)


@given(st.floats(3, 200), st.sampled_from([(), ("int8",), ("int8", "nf4")]), st.booleans())
def test_no_plan_asks_for_more_than_there_is(gigabytes, quantisers, takes_turns):
    """For any memory, the plan fits within nine tenths of it or is refused."""
    try:
        found = best_plan(
            LARGE,
            gigabytes * 1e9,
            width_px=1024,
            height_px=1024,
            quantisers=quantisers,
            takes_turns=takes_turns,
        )
    except SynthError:
        return
    assert found.device_gb <= 0.9 * gigabytes


def test_memory_is_said_with_its_unit():
    """Decimal and binary units are accepted."""
    assert parse_memory("24GB") == 24e9
    assert parse_memory("16 GiB") == 16 * 2**30
    for bad in ("24", "lots", "0GB"):
        with pytest.raises(ConfigError, match="24GB"):
            parse_memory(bad)


@pytest.mark.parametrize("images", [-5, 0, 10**12])
def test_a_number_of_pictures_that_cannot_be_is_refused(images):
    """The error comes before anything is counted."""
    with pytest.raises(ConfigError, match=f"images = {images}; allowed: 1 to 1,000,000,000"):
        announce("mini-sd3", memory=None, t5="auto", precision="auto", device="cpu", images=images)


def test_a_plan_is_said_without_the_weights():
    """Registered generators are estimated without a download."""
    told = announce(
        "sd3.5-large-turbo", memory=None, t5="auto", precision="bf16", device="cpu", images=10
    )
    assert told.passes == 40
    assert "Powered by Stability AI" in told.summary()
    assert told.to_json()["device_gb"] == pytest.approx(27.62 + 2.5 * 1.049, abs=0.1)
