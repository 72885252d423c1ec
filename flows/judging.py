"""Detector and policy of a run; the detector is loaded once per process."""

from __future__ import annotations

import functools
import threading
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
    """Check policy, detector, backend and views, and return the detector's identity.

    Errors are raised before hours of reading. The detector itself is loaded when there is something
    to score, so that a run without new images needs no PyTorch.

    Raises:
        AssayError: The policy, the detector, the backend or the views cannot be used.
    """
    load_policy(request.policy_path)
    detector = identity_of(request)
    check_backend(request.backend)
    check_mode(request.views)
    # The device of a cluster's workers may be none of this machine's.
    is_here = request.runner == "threads"
    if is_here and {request.device, request.backend, request.precision} != {"auto"}:
        detector_of(request)
    return detector


# Steps of one process may start side by side, and the first loads for all.
_loading = threading.Lock()


@functools.lru_cache(maxsize=4)
def _loaded(name: str, _stamp: object, **settings: Any) -> Detector:
    return load_detector(name, **settings)


@functools.lru_cache(maxsize=4)
def _identified(name: str, _stamp: object, **settings: Any) -> Identity:
    return identify(name, **settings)


def _stamp(request: Request) -> object:
    """Return a value that changes with a folder's files and this machine's quantised weights."""
    folder = from_home(request.detector)
    files = [folder / name for name in (WEIGHTS, CONFIG, SETTINGS)]
    if request.precision == "int8":
        files += sorted(cache_folder("int8").glob(f"*/{FACTS}"))
    stats = ((file, file.stat()) for file in files if file.exists())
    return tuple((file, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for file, s in stats)


def detector_of(request: Request) -> Detector:
    """Return the request's detector, loaded once per process.

    Raises:
        ModelError: The weights are missing or differ from what is expected.
    """
    with _loading:
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
    """Return the identity of the request's detector; check the weights without loading them.

    Raises:
        ModelError: The weights are missing or differ from what is expected.
    """
    return _identified(
        request.detector,
        _stamp(request),
        profile=request.profile,
        precision=request.precision,
        positive=request.positive,
    )


def policy_of(request: Request, detector: Identity) -> Policy:
    """Return the request's policy, with bands widened by the drift of the precision.

    Raises:
        ConfigError: The policy file cannot be used.
        ModelError: The drift on this machine cannot be stored in the cache.
    """
    policy = load_policy(request.policy_path)
    drift_logit = drift_allowance(detector.weights_sha256, detector.precision)
    if drift_logit is None:
        # Another machine scored; loading the detector measures the drift on this one.
        detector_of(request)
        drift_logit = drift_allowance(detector.weights_sha256, detector.precision)
    if drift_logit is None:
        raise ModelError(
            f"the drift of {detector.detector_id} in {detector.precision} cannot be stored in"
            f" {cache_folder()}, and decisions depend on it; make that folder writable, name"
            " another in ASSAY_CACHE, or pass --precision fp32"
        )
    return policy.widened(drift_logit)
