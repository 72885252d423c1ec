"""Result of a search for similar images: the query, its neighbours and the method."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...data.score_key import ScoreKey
from ...data.text.wording import counted

By = Literal["embedding", "phash", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Query image: `image_id` where it is stored, else its encoded bytes in `raw`."""

    name: str
    phash: str
    image_id: str | None = None
    raw: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Facts of an image for display; None for each that is unknown."""

    image_id: str | None
    prob_fake: float | None = None
    decision: str | None = None
    label: str | None = None
    source_uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One neighbour. `similarity` is a cosine in [-1, 1]; `hamming_bits` is 0 to 64."""

    rank: int
    similarity: float | None
    hamming_bits: int
    known: Known

    def to_json(self) -> dict[str, Any]:
        """Return the neighbour as plain values, in one level."""
        own = {name: getattr(self, name) for name in ("rank", "similarity", "hamming_bits")}
        return own | asdict(self.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Method of comparing embeddings: with all `n_images` of them, or at a measured recall."""

    method: Literal["exact", "approximate"]
    n_images: int
    recall_at: int | None = None
    recall: float | None = None
    n_queries: int | None = None
    n_images_measured: int | None = None

    def describe(self) -> str:
        """Return a description of the method in one line."""
        if self.method == "exact":
            return f"exact, {counted(self.n_images, 'image')}"
        return (
            f"approximate, {counted(self.n_images, 'image')};"
            f" recall@{self.recall_at} {self.recall:.3f}"
            f" measured on {counted(self.n_queries or 0, 'sampled query', 'sampled queries')}"
            f" against brute force at {counted(self.n_images_measured or 0, 'image')}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """Result of a search: neighbours in order, with the settings and the method."""

    query: Known
    query_name: str
    query_precision: str | None
    by: By
    k: int
    key: ScoreKey | None
    search: Search | None
    n_hashes: int
    neighbours: tuple[Neighbour, ...]

    def title(self) -> str:
        """Return the heading, which names the query and the measure."""
        compared = {"embedding": "embedding", "phash": "perceptual hash"}
        return f"Most similar to {self.query_name}, by " + compared.get(
            self.by, "embedding and perceptual hash"
        )

    def subtitle(self) -> str:
        """Return the compared embeddings and hashes, in one line."""
        parts = []
        if self.search is not None and self.key is not None:
            known_as, _, revision = self.key.detector.partition("@")
            whose = f"{known_as}@{revision[:12]} in {self.key.precision}"
            parts.append(f"embeddings of {whose}: {self.search.describe()}")
        if self.n_hashes:
            parts.append(f"perceptual hashes: exact, {counted(self.n_hashes, 'image')}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "query": {"name": self.query_name, **asdict(self.query)},
            "by": self.by,
            "k": self.k,
            "embedding": None if self.key is None else asdict(self.key),
            "query_precision": self.query_precision,
            "search": None if self.search is None else asdict(self.search),
            "hashes_compared": self.n_hashes,
            "neighbours": [neighbour.to_json() for neighbour in self.neighbours],
        }
