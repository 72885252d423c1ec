"""`assay explain`: attention and attribution maps of one image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .options import AsJson, LakeUri, Network, lake_of_image, request_of


def explain(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    network: Network = None,
    json_: AsJson = False,
) -> None:
    """Draw attention and attribution maps of one image over the square that was scored.

    Attention rollout beside gradient-weighted attribution, with the score. The maps give no
    cause, and do not locate AI-generated pixels.

    Args:
        image: Image file, or a stored image: the first 6 or more characters of its id, its URI,
            or the end of its path.
        lake: Folder of the lake, or its s3:// prefix.
        out: PNG file to write [default: heat-ID.png in the working folder].
        network: Detector and its preprocessing.
        json_: One JSON object on stdout.
    """
    from ...data.commands import command
    from ...data.user_paths import require_output, write_output
    from ...tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ...tasks.explain.explain import explain as explained
    from ...tasks.explain.heatmap import draw_heatmap
    from ..lookup import picture_bytes, stored_logit

    if out is not None:
        require_output(out, inputs=[image])
    asked = request_of((), network)
    checkpoint = find_checkpoint(asked.detector, positive=asked.positive)
    prepared = chosen_profile(asked.profile, checkpoint)
    opened = lake_of_image(image, lake)
    image_id, raw = picture_bytes(image, opened)
    found = explained(raw, checkpoint, prepared)
    file = out or Path(f"heat-{image_id[:12]}.png")
    write_output(file, draw_heatmap(found))
    stored = None
    if opened is not None:
        stored = stored_logit(opened, image_id, checkpoint, prepared)
    logit, precision = stored or (None, None)
    values = {
        "image_id": image_id,
        "stored_logit": logit,
        "stored_precision": precision,
        "out": str(file),
    } | found.to_json()
    if json_:
        print(json.dumps(values))  # noqa: T201
        return
    lines = [
        f"score       {found.prob_fake:.3f} (logit {found.logit:+.3f}) by {found.detector_id}",
    ]
    if logit is not None:
        apart = f"differs by {abs(logit - found.logit):.1g}"
        lines.append(f"            stored {logit:+.3f} in {precision}: {apart}")
    for patch in found.top_patches(3):
        left, top, right, bottom = patch["box_px"]
        lines.append(
            f"region      x {left}-{right}, y {top}-{bottom}: {patch['share']:.1%} of the"
            f" attribution to {found.towards}"
        )
    lines.append(f"image       {file}")
    if opened is not None:
        lines += ["next", f"  {command('similar', image_id[:12], lake=opened.uri)}"]
    elif lake is not None:
        lines += ["next", f"  {command('similar', image, lake=lake)}"]
    print("\n".join(lines))  # noqa: T201
