"""One zero vector that counts as 256 gives the images that 256 zero vectors give."""

import numpy as np
import pytest
import tiny_sd3
import torch
from diffusers import SD3Transformer2DModel

from assay.synth.generators.attention import RepeatedLastToken, repeated_last_token
from assay.synth.generators.load import LoadSettings, load_generator
from assay.synth.generators.protocol import ImageRequest

RGB = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def with_dual_blocks():
    """Build the blocks of SD3.5 medium, with a second attention of the image to itself."""
    config = dict(tiny_sd3.tiny_pipeline().transformer.config)
    torch.manual_seed(0)
    made = SD3Transformer2DModel(**config | {"dual_attention_layers": (0,)})
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


@pytest.mark.parametrize("build", [lambda: tiny_sd3.tiny_pipeline().transformer, with_dual_blocks])
def test_one_token_counted_256_times_is_256_tokens(build):
    """The transformer's output is the same to rounding; without the count it is not."""
    transformer = build().eval()
    usual = transformer.attn_processors
    torch.manual_seed(0)
    spoken, pooled = torch.randn(2, 9, 40), torch.randn(2, 40)
    latents, times = torch.randn(2, 16, 8, 8), torch.tensor([500.0, 20.0])

    def out(silent):
        zeros = torch.zeros(2, silent, 40)
        with torch.no_grad():
            return transformer(
                hidden_states=latents,
                encoder_hidden_states=torch.cat([spoken, zeros], dim=1),
                pooled_projections=pooled,
                timestep=times,
            ).sample

    whole, without = out(256), out(1)
    with repeated_last_token([transformer], 256):
        assert all(type(one) is RepeatedLastToken for one in transformer.attn_processors.values())
        torch.testing.assert_close(out(1), whole, atol=1e-5, rtol=1e-4)
    assert float((without - whole).abs().max()) > 1e-2
    assert transformer.attn_processors == usual


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"parent_rgb": RGB, "strength": 0.5},
        {"parent_rgb": RGB, "strength": 0.5, "mask_hw": RGB[:, :, 0] > 128},
        {"control_rgb": RGB},
    ],
    ids=["text", "image-to-image", "inpaint", "control"],
)
def test_a_generator_without_t5_makes_the_images_of_256_zero_vectors(given, tmp_path):
    """To one level; `extra` asks the pipeline for all of them."""
    network = str(tiny_sd3.tiny_controlnet(tmp_path / "net")) if "control_rgb" in given else None
    generator = load_generator(
        str(tiny_sd3.tiny_folder(tmp_path / "tiny")), LoadSettings(controlnet=network)
    )
    size = {} if "parent_rgb" in given else {"width_px": 64, "height_px": 48}
    text = {"prompt": "a dark blue sky", "negative_prompt": "a sign", "seed": 7, "steps": 4}
    short, whole, wrong = (
        generator.make(ImageRequest(**text | size | given, extra=extra)).astype(int)
        for extra in ({}, {"max_sequence_length": 256}, {"max_sequence_length": 1})
    )
    assert np.abs(short - whole).max() <= 1
    assert np.abs(wrong - whole).max() > 1
