"""Dry run of a plan."""

from __future__ import annotations

from ...data.store.lake import Lake
from ...synth.plan.plan import Plan
from ...tasks.synthesis.parents import choose_parents
from ..judging import identity_of, policy_of
from ..process.offline import offline
from ..request import Request
from .effects import Effect, Effects


def plan_effects(request: Request, plan: Plan) -> Effects:
    """Return the effects of a plan without loading a generator.

    Counts are upper bounds, since images that exist already are not generated again.

    Args:
        request: Lake, detector and policy.
        plan: Plan of the images.

    Raises:
        AssayError: The plan, the lake, the detector or the policy cannot be used.
    """
    n_parents = None
    reads = []
    if any(block.needs_parents and block.of == "parents" for block in plan.blocks):
        lake = Lake(request.lake, create=False)
        with offline():
            identity = identity_of(request)
            band, _ = policy_of(request, identity).band(identity.detector_id)
        parents = choose_parents(lake, plan.parents, key=identity.key, band=band, seed=plan.seed)
        n_parents = len(parents)
        reads.append(Effect(n_parents, "parent images", lake.uri))
    counts = plan.check(n_parents)
    blocks = [
        Effect(counts[block.name], f"images of {block.name}", request.lake, at_most=True)
        for block in plan.blocks
    ]
    n_images = sum(counts[block.name] for block in plan.blocks)
    return Effects(
        reads=reads,
        writes=[
            *blocks,
            Effect(n_images, "scores and decisions", request.lake, at_most=True),
            Effect(2, "reports", f"{request.lake}/reports"),
        ],
    )
