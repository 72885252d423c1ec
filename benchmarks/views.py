"""What `--views` finds that the centre square cannot, what it raises for nothing, and its cost.

A piece of a machine-made picture is pasted into real photos, wholly outside the square that is
always scored. The same photos untouched are the false alarms, and a piece of another real photo
pasted likewise is the control: what is raised there is raised for the paste itself.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import expit
from tqdm import tqdm

from assay.data.images.decode import PLAIN, decode_rgb
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.detector.detector import Detector
from assay.tasks.detector.inputs.preprocess import preprocess, square_in_image
from assay.tasks.detector.load import load_detector
from assay.tasks.views import UNCERTAIN, views_of

MIN_STRIP_PX = 96


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--fake", type=Path, required=True)
    parser.add_argument("--detector", default="mini")
    parser.add_argument("--n", type=int, default=60)
    arguments = parser.parse_args()
    detector = load_detector(arguments.detector)
    flag_at = load_policy().band(detector.detector_id)[0].flag_at
    rng = np.random.default_rng(0)
    real = _pictures(arguments.real)
    others = [path for path in real if min(_size(path)) >= 384]
    donors = [path for path in _pictures(arguments.fake) if min(_size(path)) >= 384]
    rows = []
    for path in tqdm(real, unit="photo", disable=None):
        picture = decode_rgb(path.read_bytes(), PLAIN)
        strip = _strip(picture.size, detector)
        if strip is None or min(picture.size) < 384:
            continue
        edited = _pasted(picture, decode_rgb(_pick(donors, rng).read_bytes(), PLAIN), strip)
        other = _pick([one for one in others if one != path], rng)
        control = _pasted(picture, decode_rgb(other.read_bytes(), PLAIN), strip)
        rows.append([_look(_png(one), detector) for one in (picture, control, edited)])
        if len(rows) == arguments.n:
            break
    print(f"{detector.detector_id}, {len(rows)} photos, flag_at {flag_at:g}")
    print(f"{'':10} machine-made piece   piece of a photo   untouched   passes a picture")
    for mode in ("centre", "tiles", "adaptive"):
        shares = [
            np.mean([_raised(looked, mode, flag_at) for looked in column])
            for column in zip(*rows, strict=True)
        ]
        passes = np.mean([_passes(looked[0], mode) for looked in rows])
        print(
            f"{mode:10} {shares[2]:18.2f}   {shares[1]:16.2f}   {shares[0]:9.2f}   {passes:16.1f}"
        )


def _pictures(folder: Path) -> list[Path]:
    found = [p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}]
    return sorted(found)


def _pick(paths: list[Path], rng: np.random.Generator) -> Path:
    return paths[int(rng.integers(len(paths)))]


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as opened:
        return opened.size


def _strip(size_px: tuple[int, int], detector: Detector) -> tuple[int, int, int, int] | None:
    """Return the part left of or above the square, if it is wide enough."""
    left, top, _, _ = square_in_image(size_px, detector.profile)
    if left >= MIN_STRIP_PX:
        return 0, 0, int(left), size_px[1]
    if top >= MIN_STRIP_PX:
        return 0, 0, size_px[0], int(top)
    return None


def _pasted(
    picture: Image.Image, donor: Image.Image, strip: tuple[int, int, int, int]
) -> Image.Image:
    edited = picture.copy()
    width, height = strip[2] - strip[0], strip[3] - strip[1]
    piece = donor.crop((0, 0, min(width, donor.width), min(height, donor.height)))
    edited.paste(piece, (strip[0], strip[1]))
    return edited


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _look(raw: bytes, detector: Detector) -> tuple[float, list[float]]:
    """Probability of the centre, and of each tile."""
    centre = detector.forward(preprocess(raw, detector.profile)[None])[0][0]
    tiles = [view.logit for view in views_of(raw, detector) if view.logit is not None]
    return _prob(float(centre)), [_prob(logit) for logit in tiles]


def _prob(logit: float) -> float:
    return float(expit(logit))


def _looks_further(prob: float, mode: str) -> bool:
    return mode == "tiles" or (mode == "adaptive" and UNCERTAIN[0] <= prob < UNCERTAIN[1])


def _raised(looked: tuple[float, list[float]], mode: str, flag_at: float) -> bool:
    prob, tiles = looked
    return prob >= flag_at or (_looks_further(prob, mode) and max(tiles) >= flag_at)


def _passes(looked: tuple[float, list[float]], mode: str) -> int:
    return 1 + (len(looked[1]) if _looks_further(looked[0], mode) else 0)


if __name__ == "__main__":
    main()
