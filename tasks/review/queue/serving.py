"""The queue: which images a reviewer is given next.

The ranking reads the whole lake, so it is made once, and made again in the background when answers
or runs have changed the lake. What was answered or leased since is left out image by image: an
image is leased first, and given back if an answer to it is found then.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from ....data.errors import AssayError, ConfigError, brief
from ....data.score_key import ScoreKey
from ....data.store.lake import Lake
from ....data.text.wording import counted
from ..answer import require_reviewer
from ..journal import Journal
from ..leases import LEASE_S
from .draws import Draw, Drawing, drawn_at, fraction
from .item import QueueItem, item_of
from .new_answers import NewAnswers
from .pools import Place, Pools, facts_of, read_pools, second_opinions, versions_of

_log = logging.getLogger(__name__)

GOLDEN_SHARE: Final = 0.05
MAX_ITEMS: Final = 1_000
# Changes of the lake wait so long for a new ranking, which reads the whole lake.
STALE_S: Final = 60.0
# So many times the time of a ranking passes before the next, so that it takes 5 % of a core.
REST: Final = 20
# Below so many images of a cut ranking, the next one is made.
FEW: Final = 1_000


_Choose: TypeAlias = Callable[[str, int, Callable[[Place], bool]], list[Place]]
"""Function from a reviewer, a number and a condition to the next images."""


class Queue:
    """The queue of a lake for several reviewers; threads may share it.

    Args:
        lake: Lake of the images.
        journal: Open journal of the lake.
        key: Key of the scores; None for that of the last run that decided.
        policy_id: Id of the policy; None for that of the run.
        seed: Seed of the order among equals and of the draws.
        golden_share: Share of golden items, in [0, 1].
        drawings: Functions that return further draws.
    """

    def __init__(
        self,
        lake: Lake,
        journal: Journal,
        *,
        key: ScoreKey | None = None,
        policy_id: str | None = None,
        seed: int = 0,
        golden_share: float = GOLDEN_SHARE,
        drawings: Sequence[Drawing] = (),
    ) -> None:
        if not 0 <= golden_share <= 1:
            raise ConfigError(f"a share of {golden_share} is not allowed; allowed: 0 to 1")
        self._lake = lake
        self._journal = journal
        self._key = key
        self._policy_id = policy_id
        self._seed = seed
        self._golden_share = golden_share
        self._drawings = tuple(drawings)
        self._lock = threading.Lock()
        self._pools: Pools | None = None
        self._answers: NewAnswers | None = None
        self._second: tuple[list[Place], NewAnswers] | None = None
        self._looked_s = 0.0
        self._took_s = 0.0
        self._ranking: threading.Thread | None = None

    def next(
        self,
        reviewer: str,
        n: int,
        *,
        second_opinion: bool = False,
        lease_s: float = LEASE_S,
        resume: bool = False,
    ) -> list[QueueItem]:
        """Return the next images of a reviewer, leased; see `next_items`.

        Args:
            reviewer: Name of the reviewer.
            n: Number of images, 1 to 1,000.
            second_opinion: Whether to return images that others have answered.
            lease_s: Duration of the leases in seconds.
            resume: Whether images that are leased to the reviewer already come first.

        Raises:
            ConfigError: A number is out of range.
            InputError: The reviewer's name is not allowed.
            StoreError: The lake or the journal cannot be read or written.
        """
        require_reviewer(reviewer)
        if not 1 <= n <= MAX_ITEMS:
            raise ConfigError(
                f"{counted(n, 'image is', 'images are')} not allowed; allowed: 1 to {MAX_ITEMS:,}"
            )
        with self._lock:
            pools, answers = self._ready()
            items = self._resumed(pools, reviewer, n, lease_s) if resume else []
            if second_opinion:
                return items + self._second_opinions(pools, reviewer, n - len(items), lease_s)
            items += self._leased(reviewer, n - len(items), lease_s, answers, self._mixed(pools))
            if len(items) < n and self._is_worth_ranking(pools):
                pools, answers = self._rank()
                items += self._leased(
                    reviewer, n - len(items), lease_s, answers, self._mixed(pools)
                )
            return items

    def n_left(self) -> int:
        """Return the number of ranked images that nobody has answered; leased ones count.

        Raises:
            StoreError: The lake or the journal cannot be read.
        """
        with self._lock:
            pools, answers = self._ready()
            answers.update()
            return sum(place.image_id not in answers.by_image for place in pools.queue)

    def _second_opinions(
        self, pools: Pools, reviewer: str, n: int, lease_s: float
    ) -> list[QueueItem]:
        """Return images that others have answered; read them again where they run out."""
        items: list[QueueItem] = []
        for is_again in (False, True):
            if self._second is None or (is_again and len(items) < n and len(self._second[1])):
                answers = NewAnswers(self._lake, self._journal)
                places = second_opinions(self._lake, pools.judged, seed=self._seed)
                self._second = places, answers
            elif is_again:
                break
            places, answers = self._second
            choose = _first(places)
            items += self._leased(reviewer, n - len(items), lease_s, answers, choose)
        return items

    def _leased(
        self, reviewer: str, n: int, lease_s: float, answers: NewAnswers, choose: _Choose
    ) -> list[QueueItem]:
        """Choose and lease up to `n` images; those that were answered meanwhile are given back."""
        leases = self._journal.leases
        taken = set(leases.held())
        items: list[QueueItem] = []
        answers.update()

        def is_free(place: Place) -> bool:
            return place.image_id not in taken and _is_open(place, answers, reviewer)

        while len(items) < n and (chosen := choose(reviewer, n - len(items), is_free)):
            kinds = {place.image_id: place.kind for place in chosen}
            granted = set(leases.lease(list(kinds), reviewer, seconds=lease_s, kinds=kinds))
            # An answer ends the lease of its image in the same transaction. So an image that
            # could be leased although it was answered since the last look is found here.
            answers.update()
            self._journal.expect(granted)
            mine = [place for place in chosen if place.image_id in granted]
            late = [p.image_id for p in mine if not _is_open(p, answers, reviewer)]
            if late:
                leases.release(late, reviewer)
            items += [item_of(place) for place in mine if place.image_id not in late]
            taken |= kinds.keys()
        return items

    def _mixed(self, pools: Pools) -> _Choose:
        """Return the choice from the queue with draws mixed in at their places."""

        def choose(reviewer: str, n: int, is_free: Callable[[Place], bool]) -> list[Place]:
            drawn = [
                iter(self._in_turn(draw, filter(is_free, places), reviewer))
                for draw, places in pools.draws
            ]
            draws = [draw for draw, _ in pools.draws]
            begin = self._journal.leases.n_served(reviewer)
            queue = filter(is_free, pools.queue)
            waiting = next(queue, None)
            chosen: list[Place] = []
            while waiting is not None and len(chosen) < n:
                at = begin + len(chosen)
                number = drawn_at(draws, reviewer=reviewer, place=at, seed=self._seed)
                mixed_in = None if number is None else next(drawn[number], None)
                if mixed_in is not None:
                    chosen.append(mixed_in)
                else:
                    chosen.append(waiting)
                    waiting = next(queue, None)
            # An audit needs all of its answers, also where nothing else is left to answer.
            rest = (
                iter(places)
                for draw, places in zip(draws, drawn, strict=True)
                if not draw.is_for_each
            )
            chosen += itertools.islice(itertools.chain.from_iterable(rest), n - len(chosen))
            return chosen

        return choose

    def _in_turn(self, draw: Draw, places: Iterator[Place], reviewer: str) -> Iterator[Place]:
        """Yield the images of a draw; those for each reviewer in an order of the reviewer's own."""
        if not draw.is_for_each:
            yield from places
            return
        yield from sorted(places, key=lambda place: fraction(self._seed, reviewer, place.image_id))

    def _resumed(self, pools: Pools, reviewer: str, n: int, lease_s: float) -> list[QueueItem]:
        """Return images that are leased to the reviewer already, and renew their leases."""
        leases = self._journal.leases
        kinds = dict(itertools.islice(leases.kinds(reviewer).items(), n))
        if not kinds:
            return []
        kept = leases.renew(list(kinds), reviewer, seconds=lease_s)
        facts = facts_of(self._lake, pools.judged, kept)
        return [item_of(Place(i, kinds[i], facts[i])) for i in kept if i in facts]

    def _ready(self) -> tuple[Pools, NewAnswers]:
        """Return the pools, and begin a new ranking in the background where it is due."""
        if self._pools is None or self._answers is None:
            return self._rank()
        now_s = time.monotonic()
        is_running = self._ranking is not None and self._ranking.is_alive()
        wait_s = max(STALE_S, self._took_s * REST)
        if not is_running and now_s - self._looked_s > wait_s:
            self._looked_s = now_s
            has_few = self._pools.has_more and len(self._pools.queue) - len(self._answers) < FEW
            if has_few or len(self._answers) > 0 or versions_of(self._lake) != self._pools.versions:
                self._ranking = threading.Thread(
                    target=self._rank_later, name="assay-rank", daemon=True
                )
                self._ranking.start()
        return self._pools, self._answers

    def _is_worth_ranking(self, pools: Pools) -> bool:
        """Return whether a new ranking may have more images than the one that ran out."""
        return pools.has_more or versions_of(self._lake) != pools.versions

    def _rank(self) -> tuple[Pools, NewAnswers]:
        self._pools, self._answers = self._read()
        return self._pools, self._answers

    def _rank_later(self) -> None:
        try:
            pools, answers = self._read()
        except (AssayError, OSError) as error:
            _log.warning("the queue of %s keeps its order: %s", self._lake.uri, brief(error))
            return
        with self._lock:
            self._pools, self._answers = pools, answers

    def _read(self) -> tuple[Pools, NewAnswers]:
        """Read and rank the lake."""
        begin_s = time.monotonic()
        # First the answers: those given during the ranking are then among the new ones.
        answers = NewAnswers(self._lake, self._journal)
        pools = read_pools(
            self._lake,
            key=self._key,
            policy_id=self._policy_id,
            seed=self._seed,
            golden_share=self._golden_share,
            drawings=self._drawings,
        )
        self._looked_s = time.monotonic()
        self._took_s = self._looked_s - begin_s
        return pools, answers


def _first(places: Sequence[Place]) -> _Choose:
    """Return the choice of the first free images."""

    def choose(reviewer: str, n: int, is_free: Callable[[Place], bool]) -> list[Place]:
        del reviewer
        return list(itertools.islice(filter(is_free, places), n))

    return choose


def _is_open(place: Place, answers: NewAnswers, reviewer: str) -> bool:
    """Return whether an image may be put before a reviewer, by all answers so far."""
    new = answers.by_image.get(place.image_id, frozenset())
    if place.takes_one and new:
        return False
    return reviewer not in place.barred and reviewer not in new
