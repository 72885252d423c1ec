"""Options of `assay ls` and `assay export` that select images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from ...tasks.browse.filters import Filters


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImageFilters:
    """Options that select images; values of a repeated option are alternatives."""

    decision: Annotated[
        tuple[Literal["clear", "review", "flag", "none"], ...],
        Parameter(
            help="Decision; `none` for undecided images. May be repeated.",
            negative="",
            show_default=False,
        ),
    ] = ()
    reason: Annotated[
        tuple[str, ...],
        Parameter(
            help="Reason of the decision, such as declared_ai. May be repeated.",
            negative="",
            show_default=False,
        ),
    ] = ()
    domain: Annotated[
        tuple[str, ...],
        Parameter(
            help="Domain; `none` for images without one. May be repeated.",
            negative="",
            show_default=False,
        ),
    ] = ()
    label: Annotated[
        tuple[Literal["real", "fake", "laundered", "none"], ...],
        Parameter(
            help="Best label; `none` for unlabelled images. May be repeated.",
            negative="",
            show_default=False,
        ),
    ] = ()
    score: Annotated[
        str | None,
        Parameter(help="Score range, both ends inclusive: 0.4..0.9, 0.9.. or ..0.1."),
    ] = None
    since: Annotated[
        str | None,
        Parameter(help="Earliest time of the latest sighting: 7d, 12h or 2026-03-01 (UTC)."),
    ] = None
    run: Annotated[
        str | None,
        Parameter(
            help="Id of a run, or `latest`: its images with its scores and decisions "
            "[default: all images with the last ones]."
        ),
    ] = None

    def filters(self) -> Filters:
        """Return the conditions on images.

        Raises:
            ConfigError: A reason, the score range or the time is invalid.
        """
        from datetime import UTC, datetime

        from ...data.durations import since
        from ...tasks.browse.filters import Filters, check_reasons, score_range

        now = datetime.now(UTC)
        return Filters(
            decisions=self.decision,
            reasons=check_reasons(self.reason),
            domains=self.domain,
            labels=self.label,
            score=None if self.score is None else score_range(self.score),
            since=None if self.since is None else since("--since", self.since, now=now),
        )
