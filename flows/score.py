"""The score flow: what `assay score` does, as a Prefect flow with its own form.

Deployments name this module and `score`, so neither may be renamed.
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from ..version import __version__
from .flow_runs.presenting import name_of_run
from .moderate import moderate
from .request import AugmentSettings
from .results.moderation import Moderation
from .settings.form import with_form


@flow(name="assay-score", version=__version__, flow_run_name=name_of_run)
@with_form(AugmentSettings)
def score(**settings: Any) -> Moderation:
    """Score the images of a lake that the detector has not scored, and decide all.

    Args:
        **settings: Settings of the run.

    Raises:
        AssayError: The lake, the detector or the policy cannot be used.
    """
    # The function behind the flow: its tasks are those of this run, not of a second one.
    return moderate.fn([], verb="score", **settings)
