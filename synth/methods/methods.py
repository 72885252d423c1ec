"""One picture of one job: what each method does, and what is written down of it.

Everything that needs weights comes in through `Tools`, so that a method knows no checkpoint and
no detector by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from PIL import Image

from ...data.errors import SynthError
from ...data.images.decode import UPRIGHT, to_rgb
from ...data.schema import Label
from ..attacks.expectation import FileDraws, through_files
from ..attacks.latent import latent_attack
from ..attacks.pixel import AttackSettings, Logits, attack, check_levels, pixels_of, rgb_of
from ..autoencoder import Autoencoder
from ..checks.adherence import ClipScorer
from ..checks.legibility import TextReader
from ..generators.answers import answer_of, decoded
from ..generators.control import drawn_control
from ..generators.presets import MULTIPLE_PX
from ..generators.protocol import Generator, ImageRequest, Rgb
from ..laundering import conditions
from ..marking import Mark, SourceType, marked
from ..masks import Mask, draw_mask, given_mask
from ..parent_image import ParentPicture, open_parent
from ..plan.job_key import DEFAULTS, aim_of
from ..plan.plan import Job
from ..plan.settings import AIMS
from ..reconstruct import aligned_fake, encoded_as
from ..threads import fixed_threads
from ..user_images import given_picture

REAL, LAUNDERED, FAKE = Label.REAL.value, Label.LAUNDERED.value, Label.FAKE.value


class Tools(Protocol):
    """What methods work with, loaded once."""

    def generator(self, name: str, lora: str | None, controlnet: str | None = None) -> Generator:
        """A generator by name, with adapters."""
        ...

    def autoencoder(self, name: str) -> Autoencoder:
        """An autoencoder by the name of its generator or its folder."""
        ...

    def clip(self, folder: str) -> ClipScorer:
        """A CLIP model by its folder."""
        ...

    def reader(self) -> TextReader:
        """What reads the text in pictures."""
        ...

    def logits(self, detector: str | None) -> Logits:
        """A detector that gradients flow through; None: the one that scores."""
        ...

    def detector_id(self, detector: str | None) -> str:
        """The exact weights behind `logits`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished picture and its lineage, as the `synthetics` table has it."""

    raw: bytes
    label: str
    generator: str | None = None
    lora: str | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    license_flags: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the method found out, such as the detector it attacked."""


def make(job: Job, parent: bytes | None, tools: Tools, *, origin: str) -> Made:
    """The picture of a job, encoded and marked.

    Args:
        job: What to make.
        parent: Encoded bytes of its parent; None for methods without one.
        tools: Where weights come from.
        origin: Written into the mark; the same for the same job, so that what is made again is
            the same to the byte.

    Raises:
        SynthError: It cannot be made; the message says why and what to do.
    """
    # The same defaults as in the job's key.
    told = {**DEFAULTS.get(job.method, {}), **job.settings}
    with fixed_threads():
        made = _METHODS[job.method](dataclasses.replace(job, settings=told), parent, tools)
    source_type: SourceType | None = SourceType.MADE
    if made.label == LAUNDERED:
        # A photo that was only saved again is not machine-made, and must not say so.
        source_type = None
    elif job.method in {"image-to-image", "inpaint"} and job.parent_label != FAKE:
        source_type = SourceType.EDITED
    mark = Mark(source_type=source_type, generator=made.generator or job.method, origin=origin)
    return dataclasses.replace(made, raw=marked(made.raw, mark))


def _text(job: Job, _parent: bytes | None, tools: Tools) -> Made:
    return _painted(job, None, tools)


def _image_to_image(job: Job, parent: bytes | None, tools: Tools) -> Made:
    return _painted(job, open_parent(parent), tools)


def _inpaint(job: Job, parent: bytes | None, tools: Tools) -> Made:
    return _painted(job, open_parent(parent), tools, rule=str(job.settings["mask"]))


def _painted(
    job: Job, parent: ParentPicture | None, tools: Tools, *, rule: str | None = None
) -> Made:
    told = job.settings
    lora = told.get("lora")
    generator = tools.generator(str(told["generator"]), lora, told.get("controlnet"))
    preset = getattr(generator, "preset", None)
    rgb, strength = None, None
    file_settings: dict[str, Any] = {"format": "PNG"}
    mask, control = None, None
    notes: dict[str, Any] = {}
    if parent is not None:
        strength = None if job.method == "control" else float(told["strength"])
        shown = parent.image
        if preset is not None:
            shown = shown.resize(preset.fitted(*shown.size), Image.Resampling.LANCZOS)
        rgb, file_settings, notes = np.array(shown), parent.file_settings(), parent.notes()
        if rule:
            mask = _mask(rule, job, parent.image, rgb.shape[:2])
            notes |= {"mask": rule, "painted_share": round(float(mask.mean()), 4)}
        if job.method == "control":
            control, rgb, strength = _control(job, parent.image, rgb), None, None
    request = ImageRequest(
        prompt=str(told.get("prompt", "")),
        negative_prompt=str(told.get("negative_prompt", "")),
        seed=job.seed,
        width_px=told.get("width") if control is None else control.shape[1],
        height_px=told.get("height") if control is None else control.shape[0],
        steps=told.get("steps"),
        guidance=told.get("guidance"),
        parent_rgb=rgb,
        strength=strength,
        mask_hw=mask,
        control_rgb=control,
        control_kind=str(told.get("control", "canny")),
    )
    generator.check(request)
    pixels = answer_of(generator.generator_id, lambda: generator.make(request))
    notes |= _measured(pixels, request.prompt, told, tools)
    steps, guidance = request.steps, request.guidance
    if preset is not None:
        usual = preset.usual(controlled=control is not None)
        steps, guidance = steps or usual[0], usual[1] if guidance is None else guidance
    return Made(
        raw=encoded_as(Image.fromarray(pixels), file_settings),
        label=FAKE,
        generator=generator.generator_id,
        lora=getattr(generator, "lora", None),
        prompt=request.prompt or None,
        negative_prompt=request.negative_prompt or None,
        steps=steps,
        guidance=guidance,
        strength=strength,
        license_flags=generator.license_flags,
        notes=notes,
    )


def _measured(pixels: Rgb, prompt: str, told: Mapping[str, Any], tools: Tools) -> dict[str, Any]:
    """What was asked to be measured on a painted picture: its prompt's likeness, its text."""
    notes: dict[str, Any] = {}
    if (folder := told.get("clip")) and prompt:
        clip = tools.clip(str(folder))
        notes |= {
            "clip": clip.clip_id,
            "clip_cosine": round(clip.cosine(pixels, prompt), 4),
        }
    if told.get("ocr") and (expected := str(told.get("expected_text", ""))):
        found = tools.reader().read(pixels, expected)
        notes |= {
            "ocr": tools.reader().reader_id,
            "text_read": found.read,
            "text_readable_share": round(found.share, 4),
        }
    return notes


def _control(job: Job, parent: Image.Image, parent_rgb: Rgb) -> Rgb:
    """What the picture has to follow, cut to the multiple of pixels that can be painted."""
    height, width = parent_rgb.shape[:2]
    if folder := job.settings.get("controls"):
        folder = Path(str(folder))
        with given_picture(folder, str(job.parent_id), parent.size, what="control") as given:
            shown = to_rgb(given, UPRIGHT).resize((width, height), Image.Resampling.LANCZOS)
        whole = np.asarray(shown)
    else:
        whole = drawn_control(str(job.settings["control"]), parent_rgb)
    height, width = (side // MULTIPLE_PX * MULTIPLE_PX for side in (height, width))
    return np.ascontiguousarray(whole[:height, :width])


def _mask(rule: str, job: Job, parent: Image.Image, shape: tuple[int, ...]) -> Mask:
    """Drawn at the size that is painted; a given one is of the parent's size and follows it."""
    height, width = shape
    if not Path(rule).is_dir():
        return draw_mask(rule, width, height, job.seed)
    given = Image.fromarray(given_mask(Path(rule), str(job.parent_id), parent.size))
    return np.asarray(given.resize((width, height), Image.Resampling.NEAREST))


def _aligned(job: Job, parent: bytes | None, tools: Tools) -> Made:
    autoencoder = tools.autoencoder(str(job.settings["autoencoder"]))
    if parent is None:
        raise SynthError("this method needs a parent picture")
    fake = aligned_fake(
        parent,
        autoencoder,
        dct_blend=float(job.settings["dct_blend"]),
        seed=job.seed,
        is_marked=False,
    )
    return Made(
        raw=fake.raw,
        label=FAKE,
        generator=autoencoder.autoencoder_id,
        notes={"psnr_db": round(fake.psnr_db, 2) if np.isfinite(fake.psnr_db) else None},
    )


def _launder(job: Job, parent: bytes | None, _tools: Tools) -> Made:
    name = str(job.settings["condition"]).rpartition("/")[2]
    (condition,) = conditions((name,))
    opened = open_parent(parent)
    return Made(
        raw=condition.apply(opened.rgb),
        label=FAKE if job.parent_label == FAKE else LAUNDERED,
        notes=opened.notes(),
    )


def _attack(job: Job, parent: bytes | None, tools: Tools) -> Made:
    told = job.settings
    settings = AttackSettings(
        kind=str(told["kind"]),
        epsilon_levels=float(told["epsilon"]),
        steps=int(told["steps"]),
        aim=_aim(job),
        seed=job.seed,
    )
    logits = tools.logits(told.get("detector"))
    if told.get("survive_files"):
        logits = through_files(logits, FileDraws(seed=job.seed % 2**32))
    check_levels(settings.epsilon_levels)
    opened = open_parent(parent)
    moved = attack(pixels_of(opened.rgb), logits, settings)
    # As JPEG where it was made to survive that, else without loss.
    kind = {"format": "JPEG", "quality": 90} if told.get("survive_files") else {"format": "PNG"}
    raw = encoded_as(Image.fromarray(rgb_of(moved)), kind)
    apart = decoded(raw, "the attack").astype(np.int16) - opened.rgb
    return Made(
        raw=raw,
        label=LAUNDERED if job.parent_label in {REAL, LAUNDERED} else FAKE,
        steps=settings.steps,
        strength=settings.epsilon_levels,
        notes={
            "attacked": tools.detector_id(told.get("detector")),
            "aim": settings.aim,
            # Of the file: JPEG moves pixels further than the attack did.
            "levels_changed": int(np.abs(apart).max()),
            **opened.notes(),
        },
    )


def _latent_attack(job: Job, parent: bytes | None, tools: Tools) -> Made:
    told = job.settings
    autoencoder = tools.autoencoder(str(told["autoencoder"]))
    settings = AttackSettings(steps=int(told["steps"]), aim=_aim(job), seed=job.seed)
    box = float(told["box"])
    opened = open_parent(parent)
    found = latent_attack(
        opened.rgb,
        autoencoder,
        tools.logits(told.get("detector")),
        settings,
        box_sd=box,
    )
    return Made(
        raw=encoded_as(Image.fromarray(found.rgb_u8_hwc), {"format": "PNG"}),
        # Whatever its parent was: these pixels come out of a decoder.
        label=FAKE,
        generator=autoencoder.autoencoder_id,
        steps=settings.steps,
        strength=box,
        notes={
            "attacked": tools.detector_id(told.get("detector")),
            "aim": settings.aim,
            **opened.notes(),
        },
    )


_METHODS: Final[dict[str, Callable[[Job, bytes | None, Tools], Made]]] = {
    "text": _text,
    "image-to-image": _image_to_image,
    "inpaint": _inpaint,
    "control": _image_to_image,
    "aligned": _aligned,
    "launder": _launder,
    "attack": _attack,
    "latent-attack": _latent_attack,
}


def _aim(job: Job) -> int:
    """Fakes want to pass, photos to be flagged, unless the plan says which."""
    told = job.settings.get("aim")
    if told is not None and told not in AIMS:
        raise SynthError(f"an attack with aim {told!r}; allowed: {', '.join(AIMS)}")
    return aim_of(job.settings, job.parent_label)
