"""What is told of similar images: the query, its neighbours, and how they were compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...data.score_key import ScoreKey

By = Literal["embedding", "phash", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The picture that is asked about: `image_id` when it is stored, else its bytes in `raw`."""

    name: str
    phash: str
    image_id: str | None = None
    raw: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a person wants to see of a picture; None where nothing is known."""

    image_id: str | None
    prob_fake: float | None = None
    decision: str | None = None
    label: str | None = None
    source_uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One answer. `similarity` is a cosine in [-1, 1]; `hamming_bits` are 0 to 64."""

    rank: int
    similarity: float | None
    hamming_bits: int
    known: Known

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain values, in one level."""
        own = {name: getattr(self, name) for name in ("rank", "similarity", "hamming_bits")}
        return own | asdict(self.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How embeddings were compared: with all `n_images` of them, or at a measured recall."""

    method: Literal["exact", "approximate"]
    n_images: int
    recall_at: int | None = None
    recall: float | None = None
    n_queries: int | None = None
    n_images_measured: int | None = None

    def describe(self) -> str:
        """Return the search for a person, in one line."""
        if self.method == "exact":
            return f"exact, {self.n_images:,} images"
        return (
            f"approximate, {self.n_images:,} images; recall@{self.recall_at} {self.recall:.3f}"
            f" measured on {self.n_queries} sampled queries against brute force"
            f" at {self.n_images_measured:,} images"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """The answer: neighbours in order, and what was compared with what."""

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
        """Return what was asked, for a heading."""
        compared = {"embedding": "embedding", "phash": "perceptual hash"}
        return f"Most like {self.query_name}, by " + compared.get(
            self.by, "embedding and perceptual hash"
        )

    def subtitle(self) -> str:
        """Return what was compared with what, in one line."""
        parts = []
        if self.search is not None and self.key is not None:
            known_as, _, revision = self.key.detector.partition("@")
            whose = f"{known_as}@{revision[:12]} in {self.key.precision}"
            parts.append(f"embeddings of {whose}: {self.search.describe()}")
        if self.n_hashes:
            parts.append(f"perceptual hashes: exact, {self.n_hashes:,} images")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
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
