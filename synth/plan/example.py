"""A plan to start from, as `assay synth example` prints it."""

from __future__ import annotations

from typing import Final

EXAMPLE_PLAN: Final = """\
# What to make. Every list is swept; running it again makes only what is missing.
seed = 0

[parents]
choose = "real"   # real, fake, any, or near (those nearest to a threshold)
n = 50
# where = "width_px >= 512 and domain = 'ads'"

[[make]]          # what platforms do to photos
method = "launder"
condition = ["jpeg", "resize", "screenshot", "multi-hop"]

[[make]]          # pictures changed so as to pass; of photos, so as to be flagged
method = "attack"
epsilon = [1, 2, 4]
steps = 10

[[make]]          # and whether that survives what platforms do
name = "laundered-attacks"
method = "launder"
of = "attack"
condition = ["jpeg-70", "half"]

# mini-sd3 is embedded and tries the pipeline; sd3.5-large, sd3.5-large-turbo, sd3.5-medium, or a
# diffusers folder stand in its place for pictures that matter.

[[make]]          # the photo through a generator's autoencoder and back
method = "aligned"
autoencoder = "mini-sd3"
dct_blend = [1.0, 0.5]

[[make]]          # the photo repainted, little to much
method = "image-to-image"
generator = "mini-sd3"
prompt = "a bright blue smooth photo"
strength = [0.2, 0.5]

[[make]]          # pictures from nothing; prompts = "prompts.txt" reads many
method = "text"
generator = "mini-sd3"
prompt = ["a dark green detailed photo", "a bright orange smooth photo"]
times = 4
"""
