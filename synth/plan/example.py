"""The example plan of `assay synth example`."""

from __future__ import annotations

from typing import Final

EXAMPLE_PLAN: Final = """\
# Images to make. Lists are swept; another run makes only the images that are missing.
seed = 0

[parents]
choose = "real"   # real, fake, any, or near (the images nearest to a threshold)
n = 50
# where = "width_px >= 512 and domain = 'ads'"

[[make]]          # photos as platforms process them
method = "launder"
condition = ["jpeg", "resize", "screenshot", "multi-hop"]

[[make]]          # adversarial: AI-generated images that pass, photos that are flagged
method = "attack"
epsilon = [1, 2, 4]
steps = 10

[[make]]          # the same, laundered
name = "laundered-attacks"
method = "launder"
of = "attack"
condition = ["jpeg-70", "half"]

# mini-sd3 is embedded and only tries the pipeline; for real images name sd3.5-large,
# sd3.5-large-turbo, sd3.5-medium, or a diffusers folder in its place.

[[make]]          # the photo encoded and decoded by a generator's autoencoder
method = "aligned"
autoencoder = "mini-sd3"
dct_blend = [1.0, 0.5]

[[make]]          # the photo repainted, at two strengths
method = "image-to-image"
generator = "mini-sd3"
prompt = "a bright blue smooth photo"
strength = [0.2, 0.5]

[[make]]          # images from prompts alone; prompts = "prompts.txt" reads a file of them
method = "text"
generator = "mini-sd3"
prompt = ["a dark green detailed photo", "a bright orange smooth photo"]
times = 4
"""
