"""Whether the guarantees of `assay calibrate` hold, what breaks them, and whether it is seen.

Populations: two normals, whose rates are known exactly; and scores of a detector on folders of real
and fake images, which are taken for the whole population, so that its rates are known too.
Calibration images are drawn from the population 1,000 times; each draw sets a threshold, whose rate
is that of the population. A guarantee holds if its rate is exceeded in no more draws than stated.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import norm

from assay.tasks.audit.audits import Audit
from assay.tasks.audit.estimate import Stratum, estimate
from assay.tasks.audit.sample import sizes
from assay.tasks.calibrate.false_share import most_reals_above
from assay.tasks.calibrate.precision import precision_at
from assay.tasks.calibrate.umbrella import reals_needed, threshold
from assay.tasks.decide.conformal import p_values, rejection_limit
from assay.tasks.decide.embedding_domain import domain_of
from assay.tasks.promise.promise import ThresholdPromise
from assay.tasks.proportion import share

Logits = NDArray[np.float32]
CONFIDENCE = 0.95
LEVELS = (0.01, 0.05, 0.1)
N_SPLITS = 1000
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Scored:
    """Logits of images, shape (N,), and their embeddings, shape (N, D)."""

    logits: Logits
    vectors: NDArray[np.float32]

    def at(self, index: NDArray[np.int64]) -> Scored:
        """Return some of the images."""
        return Scored(self.logits[index], self.vectors[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Scores of real and fake images.

    Attributes:
        name: Name for the table.
        reals: Draws logits of n real images.
        fakes: Draws logits of n fake images.
        fpr: Returns the share of all real images above a threshold.
        tpr: Returns the share of all fake images above a threshold.
    """

    name: str
    reals: Callable[[np.random.Generator, int], Logits]
    fakes: Callable[[np.random.Generator, int], Logits]
    fpr: Callable[[float], float]
    tpr: Callable[[float], float]


def normals() -> Population:
    """Return reals of mean -2 and fakes of mean 2, both of deviation 1.5."""
    return Population(
        name="normals",
        reals=lambda rng, n: rng.normal(-2, 1.5, n).astype(np.float32),
        fakes=lambda rng, n: rng.normal(2, 1.5, n).astype(np.float32),
        fpr=lambda at: float(norm.sf(at, -2, 1.5)),
        tpr=lambda at: float(norm.sf(at, 2, 1.5)),
    )


def pictures(name: str, reals: Logits, fakes: Logits) -> Population:
    """Return the population of which these images are all there are."""
    return Population(
        name=name,
        reals=lambda rng, n: rng.choice(reals, n),
        fakes=lambda rng, n: rng.choice(fakes, n),
        fpr=lambda at: float((reals > at).mean()),
        tpr=lambda at: float((fakes > at).mean()),
    )


def verdict(exceeded: int, n: int, stated: float) -> str:
    """Return the share of draws, its Monte Carlo error, and whether it is as stated."""
    error = 3 * math.sqrt(stated * (1 - stated) / n)
    word = "holds" if exceeded / n <= stated + error else "BROKEN"
    return f"{exceeded / n:7.1%} of draws, at most {stated:.0%} stated (+- {error:.1%}): {word}"


def check_fpr(some: Population, n_draws: int) -> None:
    """Print in how many draws the false-positive rate of the threshold exceeds the level."""
    for level in (0.01, 0.05):
        for n_reals in (reals_needed(level, CONFIDENCE), 400, 1000):
            rng = np.random.default_rng(n_reals)
            exceeded, found = 0, []
            for _ in range(n_draws):
                limit = threshold(some.reals(rng, n_reals), level, CONFIDENCE)
                assert limit is not None
                exceeded += some.fpr(float(limit)) > level
                found.append(some.tpr(float(limit)))
            print(
                f"  fpr <= {level:.0%}, {n_reals:5,} reals: "
                f"{verdict(exceeded, n_draws, 1 - CONFIDENCE)}; finds {np.median(found):.1%}"
            )


def check_fdr(some: Population, n_draws: int) -> None:
    """Print the mean share of reals among the flagged of batches."""
    for level, share_fake in ((0.1, 0.02), (0.1, 0.2), (0.05, 0.5)):
        rng = np.random.default_rng(2)
        shares, n_found = [], 0
        n_fakes = int(1000 * share_fake)
        for _ in range(n_draws):
            reals = np.sort(some.reals(rng, 1000))
            logits = np.concatenate([some.fakes(rng, n_fakes), some.reals(rng, 1000 - n_fakes)])
            p_real = p_values(logits, reals)
            is_flagged = p_real <= rejection_limit(p_real, level)
            n_found += int(is_flagged[:n_fakes].sum())
            shares.append(is_flagged[n_fakes:].sum() / max(is_flagged.sum(), 1))
        mean, error = np.mean(shares), 3 * np.std(shares) / math.sqrt(n_draws)
        stated = level * (1 - share_fake)
        word = "holds" if mean <= stated + error else "BROKEN"
        print(
            f"  fdr <= {level:.0%}, {share_fake:3.0%} fakes: mean false share {mean:.2%}, at most"
            f" {stated:.2%} stated (+- {error:.2%}): {word}; finds"
            f" {n_found / n_draws / n_fakes:.1%}"
        )


def check_bounds(some: Population, n_draws: int) -> None:
    """Print how often a bound on the false share is exceeded at any threshold."""
    n_reals, n_images = 400, 2000
    ranks, most = most_reals_above(n_reals, n_images, confidence=CONFIDENCE)
    rng = np.random.default_rng(3)
    exceeded = 0
    for _ in range(n_draws):
        thresholds = np.sort(some.reals(rng, n_reals))[n_reals - ranks]
        batch = np.sort(some.reals(rng, n_images))
        n_above = n_images - np.searchsorted(batch, thresholds, side="right")
        exceeded += bool((n_above > most).any())
    print(f"  false share at all thresholds: {verdict(exceeded, n_draws, 1 - CONFIDENCE)}")


def check_intervals(some: Population, n_draws: int) -> None:
    """Print how often the intervals of 95 % miss the precision and the share of fakes found."""
    at = 1.0
    for prevalence in (0.01, 0.1):
        rng = np.random.default_rng(4)
        tpr, fpr = some.tpr(at), some.fpr(at)
        truth = prevalence * tpr / (prevalence * tpr + (1 - prevalence) * fpr)
        missed_precision, missed_share = 0, 0
        for _ in range(n_draws):
            flagged = int((some.fakes(rng, 200) > at).sum())
            wrong = int((some.reals(rng, 400) > at).sum())
            found = precision_at(
                prevalence,
                n_fakes=200,
                n_fakes_flagged=flagged,
                n_reals=400,
                n_reals_flagged=wrong,
            )
            missed_precision += not found.low <= truth <= found.high
            limits = share(flagged, 200)
            missed_share += not limits.low <= tpr <= limits.high
        print(f"  precision at {prevalence:3.0%} fakes: {verdict(missed_precision, n_draws, 0.05)}")
    print(f"  share of fakes found:  {verdict(missed_share, n_draws, 0.05)}")


def check_audited(some: Population, n_draws: int) -> None:
    """Print how often the interval of the precision at an audit's share of fakes misses it.

    A month has 20,000 images, 3 % of them fake; an audit draws 300, at least 1 % of the cleared.
    """
    at, n_images, n_fakes = 1.0, 20_000, 600
    tpr, fpr = some.tpr(at), some.fpr(at)
    truth = n_fakes * tpr / (n_fakes * tpr + (n_images - n_fakes) * fpr)
    rng = np.random.default_rng(5)
    missed, widths = 0, []
    for _ in range(n_draws):
        fakes, reals = rng.binomial(n_fakes, tpr), rng.binomial(n_images - n_fakes, fpr)
        fakes_of = {"clear": n_fakes - fakes, "flag": fakes}
        sizes_of = {"flag": fakes + reals, "clear": n_images - fakes - reals}
        strata = {
            name: Stratum(
                n_all=sizes_of[name],
                n_drawn=n_drawn,
                n_labelled=n_drawn,
                n_fake=rng.hypergeometric(fakes_of[name], sizes_of[name] - fakes_of[name], n_drawn),
            )
            for name, n_drawn in sizes(sizes_of, n_images=300, cleared_share=0.01).items()
        }
        promise = ThresholdPromise(
            domain=None,
            n_reals=400,
            n_fakes=200,
            flag_at=at,
            state="holds",
            n_reals_flagged=int((some.reals(rng, 400) > at).sum()),
            n_fakes_flagged=int((some.fakes(rng, 200) > at).sum()),
        )
        audit = Audit(
            audit_id="a-1",
            policy_id="policy",
            drawn_at=datetime(2026, 1, 1, tzinfo=UTC),
            seed=0,
            strata=strata,
            n_disputed=0,
            estimate=estimate(strata),
        )
        found = promise.audited(audit)
        assert found is not None
        missed += not found.low <= truth <= found.high
        widths.append(found.high - found.low)
    print(
        f"  precision at an audit's share of fakes: {verdict(missed, n_draws, 0.05)};"
        f" {np.median(widths):.0%} wide in the median"
    )


def break_it(name: str, reals: Logits, shifted: Logits, n_draws: int) -> None:
    """Print what becomes of a threshold of 5 % where images are drawn otherwise."""
    rng = np.random.default_rng(5)
    rates = []
    for _ in range(n_draws):
        limit = threshold(rng.choice(reals, 200), 0.05, CONFIDENCE)
        assert limit is not None
        rates.append(float((shifted > limit).mean()))
    print(
        f"  {name:56} median rate {np.median(rates):6.1%}, above 5 % in"
        f" {np.mean(np.array(rates) > 0.05):6.1%} of draws"
    )


def encoded(raw: bytes, quality: int | None, scale: float) -> bytes:
    """Return an image reduced and encoded again as JPEG."""
    if quality is None:
        return raw
    with Image.open(io.BytesIO(raw)) as opened:
        rgb = opened.convert("RGB")
    size = (max(1, int(rgb.width * scale)), max(1, int(rgb.height * scale)))
    out = io.BytesIO()
    rgb.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=quality)
    return out.getvalue()


def check_domain(name: str, reals: Scored, fakes: Scored, others: dict[str, Scored]) -> None:
    """Print the mean share of images that are called out of domain over resampled splits.

    Two thirds of the reals and half of the fakes are labelled, drawn without replacement; the rest
    and the images of other domains are compared with them. Flags are above the threshold of 5 % at
    95 % from the labelled reals.
    """
    print(f"{name}: out of domain, mean over {N_SPLITS} splits")
    for words, has_fakes in (("reals and fakes", True), ("reals alone", False)):
        shares: dict[str, list[NDArray[np.float64]]] = {}
        rng = np.random.default_rng(6)
        for _ in range(N_SPLITS):
            mine, rest = split(rng, reals, 2 / 3)
            labelled, hidden = split(rng, fakes, 1 / 2)
            near = domain_of(mine.vectors, labelled.vectors[: None if has_fakes else 0])
            limit = threshold(mine.logits, 0.05, CONFIDENCE)
            assert near is not None
            assert limit is not None
            met = {"reals": rest, "fakes": hidden, **others}
            for kind, some in met.items():
                p_domain = near.p_values(near.distances(some.vectors))
                for what, rows in (("", slice(None)), (", flagged", some.logits > limit)):
                    if len(chosen := p_domain[rows]):
                        at = (chosen[:, None] <= np.array(LEVELS)).mean(axis=0)
                        shares.setdefault(kind + what, []).append(at)
        for kind, found in shares.items():
            mean, error = np.mean(found, axis=0), 3 * np.std(found, axis=0) / len(found) ** 0.5
            cells = [
                f"{level:.0%}: {share:6.2%} (+- {width:.2%})"
                + (" BROKEN" if kind == "reals" and share > level + width else "")
                for level, share, width in zip(LEVELS, mean, error, strict=True)
            ]
            print(f"  near {words:16} {kind:28}", ", ".join(cells))
            if kind == "reals":
                print_spread(np.array(found))


def print_spread(found: NDArray[np.float64]) -> None:
    """Print how far the share of single splits goes, of the images that each split has met."""
    cells = [
        f"{level:.0%}: {high:.1%}, {highest:.1%}"
        for level, high, highest in zip(
            LEVELS, *np.quantile(found, [0.95, 0.99], axis=0), strict=True
        )
    ]
    print(f"  {'':21} {'at most, in 95 and 99 % of splits':28}", ", ".join(cells))


def split(rng: np.random.Generator, some: Scored, share: float) -> tuple[Scored, Scored]:
    """Return a random share of images, and the rest."""
    order = rng.permutation(len(some.logits))
    first, rest = np.split(order, [round(share * len(order))])
    return some.at(first), some.at(rest)


def made(rng: np.random.Generator, n: int, mean: float) -> Scored:
    """Return images with heavy-tailed embeddings of 16 numbers around a mean."""
    vectors = rng.standard_t(3, size=(n, 16)).astype(np.float32) + np.float32(mean)
    return Scored(vectors.sum(axis=1), vectors)


def scored(
    detector: str, files: list[Path], quality: int | None = None, scale: float = 1.0
) -> Scored:
    """Return logits and embeddings of files, as they are or encoded again."""
    from assay.tasks.detector.load import load_detector
    from assay.tasks.detector.streaming import score_stream

    def contents() -> Iterator[tuple[str, bytes]]:
        for file in files:
            yield str(file), encoded(file.read_bytes(), quality, scale)

    found = [
        (one.logit, one.embedding)
        for batch in score_stream(load_detector(detector), contents())
        for one in batch
        if one.logit is not None and one.embedding is not None
    ]
    return Scored(
        np.array([logit for logit, _ in found], np.float32), np.stack([row for _, row in found])
    )


def files_of(folder: Path) -> list[Path]:
    """Return the images below a folder, in order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def main() -> None:
    """Print for each population whether the guarantees hold, then what breaks them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="folder of real images")
    parser.add_argument("--fake", type=Path, help="folder of fake images")
    parser.add_argument(
        "--other", type=Path, nargs="*", default=[], help="folders below --real of other domains"
    )
    parser.add_argument("--detector", default="mini")
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    populations = [normals()]
    photos: list[Path] = []
    if arguments.real and arguments.fake:
        others = {folder.name: files_of(folder) for folder in arguments.other}
        outside = {path for files in others.values() for path in files}
        photos = [path for path in files_of(arguments.real) if path not in outside]
        reals = scored(arguments.detector, photos)
        fakes = scored(arguments.detector, files_of(arguments.fake))
        foreign = {name: scored(arguments.detector, files) for name, files in others.items()}
        name = f"{arguments.detector} on {len(photos)} real, {len(fakes.logits)} fake images"
        populations.append(pictures(name, reals.logits, fakes.logits))
    for some in populations:
        print(some.name)
        for check in (check_fpr, check_fdr, check_bounds, check_intervals, check_audited):
            check(some, arguments.draws)
    rng = np.random.default_rng(7)
    check_domain("made", made(rng, 300, 0), made(rng, 300, 1), {"another mean": made(rng, 300, -3)})
    if photos:
        check_domain(name, reals, fakes, foreign)
        print("what breaks a threshold of 5 % at 95 % from 200 real images")
        shifted = {"the same images": reals.logits}
        for quality, scale in ((85, 1.0), (50, 1.0), (85, 0.5), (50, 0.5)):
            words = f"JPEG {quality}" + (", half the size" if scale != 1 else "")
            shifted[words] = scored(arguments.detector, photos, quality, scale).logits
        for other, its in foreign.items():
            shifted[f"{other}, {len(its.logits)} images"] = its.logits
        for words, logits in shifted.items():
            break_it(f"set as they are, met by: {words}", reals.logits, logits, arguments.draws)
        for words, logits in shifted.items():
            break_it(f"set on: {words}, met as they are", logits, reals.logits, arguments.draws)


if __name__ == "__main__":
    main()
