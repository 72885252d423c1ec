"""Jupyter magics: `%load_ext assay`, then `%moderate SOURCE...` displays the result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, parse_argstring

from ...data.errors import AssayError
from ..request import AugmentSettings, Request
from .arguments import plain, with_arguments
from .completion import complete_magics
from .plan_cells import PLAN_OPTIONS, PlanCheck, check_plan, run_plan

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..augmentation.result import Augmentation
    from ..results.moderation import Moderation


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics and the completion of their options; `%load_ext assay` calls this."""
    shell.register_magics(AssayMagics)
    complete_magics(
        shell,
        {
            name: magic.parser
            for name, magic in (
                ("moderate", AssayMagics.moderate),
                ("assay_synth", AssayMagics.assay_synth),
                ("assay_plan", AssayMagics.assay_plan),
            )
        },
    )


@magics_class
class AssayMagics(Magics):  # type: ignore[misc]  # Class cannot subclass "Magics" (has type "Any")
    """The magics of assay."""

    @with_arguments(
        argument("sources", nargs="+", help=str(Request.model_fields["sources"].description)),
        argument("--server", action="store_true", help="Run as a Prefect flow."),
        settings=Request.model_fields,
    )
    @line_magic  # type: ignore[untyped-decorator]
    def moderate(self, line: str) -> Moderation:
        """Ingest, score, decide and report; quote a source that contains spaces."""
        given = vars(parse_argstring(AssayMagics.moderate, line))
        sources = [plain(source) for source in given.pop("sources")]
        settings = {name: plain(value) for name, value in given.items() if value is not None}
        from ..api.moderate import moderate

        with _errors_in_one_line():
            return moderate(*sources, **settings)

    @with_arguments(
        argument("plan", help="Plan file in TOML; `assay synth example` prints one."),
        *PLAN_OPTIONS,
        argument(
            "--dry-run", action="store_true", help="Check and estimate the plan; make no images."
        ),
        settings=AugmentSettings.model_fields,
    )
    @line_magic  # type: ignore[untyped-decorator]
    def assay_synth(self, line: str) -> Augmentation | PlanCheck:
        """Make the images of a plan file, score them, and show who evades the detector."""
        given = vars(parse_argstring(AssayMagics.assay_synth, line))
        path, is_dry = Path(plain(given.pop("plan"))), given.pop("dry_run")
        from ...synth.plan.plan_file import read_plan

        with _errors_in_one_line():
            return (check_plan if is_dry else run_plan)(read_plan(path), given)

    @with_arguments(
        *PLAN_OPTIONS,
        argument("--run", action="store_true", help="Make the images, score them, and show who "
                 "evades the detector."),
        settings=AugmentSettings.model_fields,
    )  # fmt: skip
    @cell_magic  # type: ignore[untyped-decorator]
    def assay_plan(self, line: str, cell: str) -> Augmentation | PlanCheck:
        """Check and estimate the plan in the cell, TOML as in a plan file; with --run, make it.

        Relative paths in the plan start from the working folder.
        """
        given = vars(parse_argstring(AssayMagics.assay_plan, line))
        is_run = given.pop("run")
        from ...synth.plan.plan_file import plan_of_text

        with _errors_in_one_line():
            plan = plan_of_text(cell, folder=Path(), source="the cell", first_line=2)
            return (run_plan if is_run else check_plan)(plan, given)


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Raise IPython's UsageError for assay's errors: it is shown as a line without a traceback."""
    try:
        yield
    except AssayError as error:
        raise UsageError(" ".join(str(error).split())) from None
