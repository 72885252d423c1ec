"""`assay demo`: all steps on generated test images, without a network connection."""

from __future__ import annotations

import json
from pathlib import Path

from .options import AsJson, Quiet, execute


def demo(*, lake: str = "demo-lake", json_: AsJson = False, quiet: Quiet = False) -> None:
    """Run all steps on generated test images with the embedded models, offline.

    Ingest, score and decide; then generate images from the photos and report evasion.

    Args:
        lake: Folder for the demo's images and its lake.
        json_: One JSON object on stdout.
        quiet: No progress bars.
    """
    from ..demo import PLAN, demo_request

    request = demo_request(Path(lake))
    result = execute(request, "moderate", server=False, quiet=quiet)
    if not json_:
        print(f"{result.summary()}\n")  # noqa: T201
    from ...synth.plan.plan_file import plan_of_dict
    from ..augmentation.run import augment
    from ..progress import for_terminal, watched

    with watched(for_terminal(quiet=quiet)):
        made = augment(request.changed(sources=()), plan_of_dict(PLAN, folder=Path(lake)))
    if json_:
        print(json.dumps(result.to_json() | {"augment": made.to_json()}))  # noqa: T201
        return
    print(  # noqa: T201
        f"{made.summary()}\n"
        "  assay moderate YOUR-IMAGES --detector mini\n"
        "  assay synth example > plan.toml\n"
        "These figures say nothing about a real detector: the test images are generated and the "
        "embedded models are tiny."
    )
