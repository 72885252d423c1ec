"""`assay demo`: the whole loop, without a network."""

from __future__ import annotations

import json
from pathlib import Path

from .options import AsJson, Quiet, execute


def demo(*, lake: str = "demo-lake", json_: AsJson = False, quiet: Quiet = False) -> None:
    """Run the whole loop on pictures drawn here and the embedded models; no network.

    Ingests, scores and decides, then makes pictures from the photos and says who evades.

    Args:
        lake: Folder for the demo's pictures and lake.
        json_: Print one JSON object on stdout.
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
        "  assay moderate YOUR-PICTURES --detector mini\n"
        "  assay synth example > plan.toml\n"
        "The demo draws its pictures and the embedded models are tiny: none of these figures says "
        "how a real detector fares."
    )
