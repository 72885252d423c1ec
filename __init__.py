"""assay: moderation pipelines that tell AI-generated images from real ones.

    import assay
    result = assay.moderate("images/", lake="my-lake", detector="mini")
    assay.Lake("my-lake").scan("scores").collect()
    assay.score(["a.jpg", "b.jpg"], detector="mini")

Heavy modules are imported on first use: `import assay` loads neither torch nor prefect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .flows.process.import_noise import drop_import_noise
from .flows.process.openmp import let_waiting_threads_sleep
from .version import __version__

if TYPE_CHECKING:
    from .data.store.lake import Lake
    from .flows.api.detector import Detector
    from .flows.api.moderate import moderate
    from .flows.api.score import score
    from .flows.notebook import load_ipython_extension
    from .flows.notebook.review.open_review import review
    from .tasks.detector.weights.python_detector import offer_detector

__all__ = [
    "Detector",
    "Lake",
    "__version__",
    "load_ipython_extension",
    "moderate",
    "offer_detector",
    "review",
    "score",
]

drop_import_noise()
let_waiting_threads_sleep()

_HOMES = {
    "Detector": ".flows.api.detector",
    "Lake": ".data.store.lake",
    "load_ipython_extension": ".flows.notebook",
    "moderate": ".flows.api.moderate",
    "offer_detector": ".tasks.detector.weights.python_detector",
    "review": ".flows.notebook.review.open_review",
    "score": ".flows.api.score",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first access (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for completion in a notebook."""
    return sorted(__all__)
