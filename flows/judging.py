"""Who judges the images of a run: its detector, loaded once per process, and its policy."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ..data.cache import cache_folder
from ..data.errors import ModelError
from ..data.user_paths import from_home
from ..tasks.decide.policy import Policy
from ..tasks.decide.policy_file import load_policy
from ..tasks.detector.backends.protocol import check_backend
from ..tasks.detector.identity import Identity
from ..tasks.detector.load import identify, load_detector
from ..tasks.detector.selection.measurements import drift_allowance
from ..tasks.detector.weights.hub import CONFIG, SETTINGS, WEIGHTS
from ..tasks.detector.weights.int8_store import FACTS
from ..tasks.views import check_mode
from .request import Request

if TYPE_CHECKING:
    from ..tasks.detector.detector import Detector


def check_judging(request: Request) -> Identity:
    """Return what the request's scores are known by, once all that judges is known to be there.

    Whatever can be wrong with these is said before hours of reading. The detector itself is loaded
    when there is something to score: a run that finds nothing new needs no PyTorch.

    Raises:
        AssayError: The policy, the detector, the backend or the views cannot be used.
    """
    load_policy(request.policy_path)
    detector = identity_of(request)
    check_backend(request.backend)
    check_mode(request.views)
    if {request.device, request.backend, request.precision} != {"auto"}:
        detector_of(request)
    return detector


@functools.lru_cache(maxsize=4)
def _loaded(name: str, _stamp: object, **settings: Any) -> Detector:
    return load_detector(name, **settings)


@functools.lru_cache(maxsize=4)
def _identified(name: str, _stamp: object, **settings: Any) -> Identity:
    return identify(name, **settings)


def _stamp(request: Request) -> object:
    """Return what changes when a folder's files or this machine's quantised weights do."""
    folder = from_home(request.detector)
    files = [folder / name for name in (WEIGHTS, CONFIG, SETTINGS)]
    if request.precision == "int8":
        files += sorted(cache_folder("int8").glob(f"*/{FACTS}"))
    stats = ((file, file.stat()) for file in files if file.exists())
    return tuple((file, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for file, s in stats)


def detector_of(request: Request) -> Detector:
    """Return the request's detector, loaded once per process.

    Raises:
        ModelError: The weights cannot be had, or are not what they should be.
    """
    return _loaded(
        request.detector,
        _stamp(request),
        profile=request.profile,
        device=request.device,
        precision=request.precision,
        backend=request.backend,
        positive=request.positive,
        force_drift=request.force_drift,
    )


def identity_of(request: Request) -> Identity:
    """Return what the request's scores are known by; check the weights without loading them.

    Raises:
        ModelError: The weights cannot be had, or are not what they should be.
    """
    return _identified(
        request.detector,
        _stamp(request),
        profile=request.profile,
        precision=request.precision,
        positive=request.positive,
    )


def policy_of(request: Request, detector: Identity) -> Policy:
    """Return the request's policy; its bands are widened by what the precision may move a score."""
    policy = load_policy(request.policy_path)
    drift_logit = drift_allowance(detector.weights_sha256, detector.precision)
    if drift_logit is None:
        # Another machine scored: loading measures it here too.
        detector_of(request)
        drift_logit = drift_allowance(detector.weights_sha256, detector.precision)
    if drift_logit is None:
        raise ModelError(
            f"how far {detector.precision} moves the scores of {detector.detector_id} cannot be"
            f" kept in {cache_folder()}, so decisions cannot allow for it; make that folder"
            " writable (ASSAY_CACHE names another), or use --precision fp32"
        )
    return policy.widened(drift_logit)
