"""Dry run of `moderate`, `ingest` and `score`."""

from __future__ import annotations

from pathlib import Path

from ...data.errors import ModelError, UntrustedWeights
from ...data.sources.find import find_items
from ...data.store.lake import Lake
from ...data.user_paths import from_home
from ...tasks.batches import batch_id_of, chunks
from ...tasks.decide.policy_file import load_policy
from ...tasks.detector.identity import Identity
from ...tasks.detector.weights.registry import card_by_name
from ...tasks.known_items import is_settled
from ...tasks.outcome import asks_again
from ...tasks.score import pending
from ...tasks.sightings import find_sightings
from ..judging import identity_of
from ..process.offline import offline
from ..request import Request
from ..steps import images_of
from .effects import Effect, Effects


def moderation_effects(request: Request, verb: str) -> Effects:
    """Return the effects of a run without starting it.

    Sources are listed and compared with the lake; no image is read, and nothing is downloaded.
    Counts of images are upper bounds, since the content of an item decides whether it is new.

    Args:
        request: Settings of the run.
        verb: Name of the run: `moderate`, `ingest` or `score`.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
    """
    load_policy(request.policy_path)
    lake = None if _is_new(request) else Lake(request.lake, create=False)
    batch_id = batch_id_of(request.sources, request.source_options) if request.sources else None
    n_items, n_new = _count_items(request, lake, batch_id) if batch_id else (0, 0)
    reads = []
    writes = [Effect(2, "rows of the run", _table(request, lake, "runs"))]
    if batch_id:
        where = ", ".join(request.params()["sources"])
        reads += [Effect(n_new, "items to read", where)]
        reads += [Effect(n_items - n_new, "unchanged items", f"{where} (not read)")]
        writes += [
            Effect(n_new, "encoded images", _table(request, lake, "shards"), at_most=True),
            Effect(n_new, "rows of images", _table(request, lake, "images"), at_most=True),
            Effect(n_items, "rows of sightings", _table(request, lake, "sightings"), at_most=True),
        ]
    if verb == "ingest":
        return Effects(reads=reads, writes=writes)
    identity = _identity(request)
    if identity is None:
        reads.append(Effect(1, "detector to download", request.detector))
    stored, unscored = _count_images(lake, identity, batch_id)
    reads.append(Effect(unscored, "stored images to score", request.lake))
    n_scores, n_decisions = unscored + n_new, stored + n_new
    writes += [
        Effect(n_scores, "rows of scores", _table(request, lake, "scores"), at_most=True),
        Effect(n_decisions, "rows of decisions", _table(request, lake, "decisions"), at_most=True),
        Effect(1, "report", _table(request, lake, "reports")),
    ]
    return Effects(reads=reads, writes=writes)


def _is_new(request: Request) -> bool:
    """Return whether the run would create its lake, which is a local folder."""
    if not request.sources or "://" in request.lake:
        return False
    folder = from_home(request.lake)
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _table(request: Request, lake: Lake | None, name: str) -> str:
    """Return the address of a table or folder of the lake."""
    parts = (name,) if name in {"shards", "reports"} else ("tables", name)
    return str(Path(request.lake, *parts)) if lake is None else lake.path(*parts)


def _count_items(request: Request, lake: Lake | None, batch_id: str) -> tuple[int, int]:
    """Return the number of items, and of those that would be read."""
    n_items = n_new = 0
    for chunk in chunks(find_items(request.sources, request.source_options)):
        known = {} if lake is None else find_sightings(lake, chunk, batch_id=batch_id)
        settled = {uri for uri, seen in known.items() if is_settled(seen, request.limits)}
        n_items += len(chunk)
        n_new += sum(
            item.problem is None and (asks_again(item) or item.source_uri not in settled)
            for item in chunk
        )
    return n_items, n_new


def _identity(request: Request) -> Identity | None:
    """Return the identity of the detector; None for a registered one that must be downloaded."""
    try:
        with offline():
            return identity_of(request)
    except UntrustedWeights:
        raise
    except ModelError:
        if card_by_name(request.detector) is None:
            raise
        return None


def _count_images(
    lake: Lake | None, identity: Identity | None, batch_id: str | None
) -> tuple[int, int]:
    """Return the number of stored images of the batch, and of those without a score."""
    if lake is None:
        return 0, 0
    wanted = images_of(lake, batch_id)
    n_stored = lake.n_rows("images") if wanted is None else len(wanted)
    if identity is None:
        return n_stored, n_stored
    return n_stored, len(pending(lake, identity.key, image_ids=wanted))
