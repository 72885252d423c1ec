"""`assay explain`: attention and attribution maps of one image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...process.browser import open_page
from ..options import (
    AsJson,
    DryRun,
    LakeUri,
    Network,
    Open,
    lake_of_image,
    print_effects,
    print_result,
    request_of,
)


def explain(
    image: str,
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    network: Network = None,
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
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
        open_: PNG file shown in the browser.
        dry_run: Image to read and file to write; nothing is changed.
    """
    from ....data.commands import command
    from ....data.user_paths import require_output, write_output
    from ....tasks.detector.weights.checkpoint import chosen_profile, find_checkpoint
    from ....tasks.explain.explain import explain as explained
    from ....tasks.explain.heatmap import draw_heatmap
    from ...lookup import image_bytes, stored_logit

    if out is not None:
        require_output(out, inputs=[image])
    opened = lake_of_image(image, lake)
    image_id, raw = image_bytes(image, opened)
    file = out or Path(f"heat-{image_id[:12]}.png")
    if dry_run:
        from ...dry_run.lookups import map_effects

        print_effects(map_effects(opened, image_id, image, file), as_json=json_)
        return
    request = request_of((), network)
    checkpoint = find_checkpoint(request.detector, positive=request.positive)
    prepared = chosen_profile(request.profile, checkpoint)
    found = explained(raw, checkpoint, prepared)
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
    print_result(lambda: "\n".join(lines), paths=[file], values=values, as_json=json_)
    if open_:
        open_page(file)
