"""The next images of a reviewer, from the queue that is kept with an open journal."""

from __future__ import annotations

from collections.abc import Sequence

from ....data.score_key import ScoreKey
from ....data.store.lake import Lake
from ..journal import Journal
from ..leases import LEASE_S
from .draws import Drawing
from .item import QueueItem
from .serving import GOLDEN_SHARE, Queue


def next_items(
    lake: Lake,
    journal: Journal,
    *,
    reviewer: str,
    n: int,
    key: ScoreKey | None = None,
    policy_id: str | None = None,
    seed: int = 0,
    second_opinion: bool = False,
    golden_share: float = GOLDEN_SHARE,
    drawings: Sequence[Drawing] = (),
    lease_s: float = LEASE_S,
    resume: bool = False,
) -> list[QueueItem]:
    """Return the next images of a reviewer, leased to the reviewer.

    The ranking is kept with the journal, so that only the first call reads the lake.

    Args:
        lake: Lake of the images.
        journal: Open journal of the lake.
        reviewer: Name of the reviewer.
        n: Number of images, 1 to 1,000.
        key: Key of the scores; None for that of the last run that decided.
        policy_id: Id of the policy; None for that of the run.
        seed: Seed of the order among equals and of the draws.
        second_opinion: Whether to return images that others have answered, the disputed ones
            first.
        golden_share: Share of golden items, in [0, 1].
        drawings: Functions that return further draws, such as those of an audit; the same ones in
            every call.
        lease_s: Duration of the leases in seconds.
        resume: Whether images that are leased to the reviewer already come first.

    Returns:
        At most `n` images; fewer where no more are free.

    Raises:
        ConfigError: A number is out of range.
        InputError: The reviewer's name is not allowed.
        StoreError: The lake or the journal cannot be read or written.
    """
    wanted = (Queue, key, policy_id, seed, golden_share, tuple(drawings))
    if wanted not in journal.kept:
        journal.kept[wanted] = Queue(
            lake,
            journal,
            key=key,
            policy_id=policy_id,
            seed=seed,
            golden_share=golden_share,
            drawings=drawings,
        )
    queue: Queue = journal.kept[wanted]
    return queue.next(reviewer, n, second_opinion=second_opinion, lease_s=lease_s, resume=resume)
