"""`assay demo`: all steps on generated test images, without a network connection."""

from __future__ import annotations

from pathlib import Path

from ...process.browser import open_page
from ...process.verbosity import is_quiet
from ..options import AsJson, DryRun, Open, execute, print_effects, print_result


def demo(
    *,
    lake: str = "demo-lake",
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Run all steps on generated test images with the embedded models, offline.

    Ingest, score and decide; then generate images from the photos and report evasion.

    Args:
        lake: Folder for the demo's images and its lake.
        json_: One JSON object on stdout.
        open_: Report shown in the browser.
        dry_run: Counts and paths of what would be written; nothing is changed.
    """
    from ...installation.demo import N_FILES, PLAN, demo_request

    if dry_run:
        from ...dry_run.effects import Effect, Effects

        writes = [
            Effect(N_FILES, "test images and files", str(Path(lake) / "pictures")),
            Effect(1, "lake", str(Path(lake) / "lake")),
        ]
        print_effects(Effects(writes=writes), as_json=json_)
        return
    request = demo_request(Path(lake))
    result = execute(request, "moderate", server=False)
    if not (json_ or is_quiet()):
        print(f"{result.summary()}\n")  # noqa: T201
    from ....synth.plan.plan_file import plan_of_dict
    from ...augmentation.run import augment
    from ...progress import for_terminal, watched

    with watched(for_terminal()):
        made = augment(request.changed(sources=()), plan_of_dict(PLAN, folder=Path(lake)))
    text = (
        f"{made.summary()}\n"
        "  assay moderate YOUR-IMAGES --detector mini\n"
        "  assay synth example > plan.toml\n"
        "These figures say nothing about a real detector: the test images are generated and the "
        "embedded models are tiny."
    )
    print_result(
        lambda: text,
        paths=made.paths,
        values=result.to_json() | {"augment": made.to_json()},
        as_json=json_,
    )
    if open_:
        open_page(result.report)
