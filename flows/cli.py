"""The command `assay`: its verbs and its exit codes.

Verbs import their work when they run, which keeps `assay --help` fast. stdout carries data,
stderr progress and messages.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Group, Parameter

from ..data.cache import ensure_home
from ..data.errors import AssayError, ConfigError, OutputLost
from ..version import __version__
from .commands.audit.app import audit
from .commands.browsing import (
    explain,
    export,
    ls,
    patches,
    query,
    report,
    runs,
    show,
    similar,
    views,
)
from .commands.deciding import calibrate, decide, explain_decision, policy, verify_log
from .commands.hashes.app import hashes
from .commands.installation import config, doctor, init
from .commands.keeping import forget, lake
from .commands.models import bench, models, synth, train_mini
from .commands.publishing import diff, publish
from .commands.review.app import review
from .commands.running import demo, deploy, ingest, moderate, score, serve, watch
from .process import signals
from .process.terminal import drop_output, guarded, open_closed_streams, unguarded
from .process.verbosity import (
    FORMAT_VARIABLE,
    LogFormat,
    is_json,
    messages_of,
    print_message,
    verbosity,
)

EXIT_BUG = 1
EXIT_USAGE = 2

app = App(
    name="assay",
    help="Detect AI-generated images: ingest, score, decide, report, publish.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
_RUN: Final = Group("Runs", sort_key=1)
_BROWSE: Final = Group("Images and runs of a lake", sort_key=2)
_DECIDE: Final = Group("Decisions and people's answers", sort_key=3)
_PUBLISH: Final = Group("Datasets", sort_key=4)
_KEEP: Final = Group("Care of a lake", sort_key=5)
_MODELS: Final = Group("Detectors and generators", sort_key=6)
_INSTALL: Final = Group("Installation and settings", sort_key=7)
_GLOBAL: Final = Group("Global options", sort_key=8)
_VERBS: Final[dict[Group, Sequence[Callable[..., object] | App]]] = {
    _RUN: (
        *(moderate.moderate, ingest.ingest, score.score, demo.demo),
        *(serve.serve, deploy.deploy, watch.watch),
    ),
    _BROWSE: (
        *(report.report, runs.runs, ls.ls, query.query, export.export, show.show),
        *(explain.explain, similar.similar, views.views, patches.patches),
    ),
    _DECIDE: (
        *(calibrate.calibrate, decide.decide, explain_decision.explain_decision),
        *(verify_log.verify_log, policy.policy, audit, review, hashes),
    ),
    _PUBLISH: (publish.publish, diff.diff),
    _KEEP: (lake.lake_app, forget.forget),
    _MODELS: (models.models, synth.synth, bench.bench, train_mini.train_mini),
    _INSTALL: (doctor.doctor, init.init, config.config),
}
models.models.command(bench.quantise)
for group, verbs in _VERBS.items():
    for verb in verbs:
        if isinstance(verb, App):
            verb.group = group
            app.command(verb)
        else:
            app.command(verb, group=group)
app.register_install_completion_command(
    group=_INSTALL, help="Install completion for the current shell: bash, zsh, fish or PowerShell."
)
for flag in ("--help", "--version"):
    app[flag].group = _GLOBAL
app.meta.group_parameters = _GLOBAL
app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def launch(
    *arguments: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    verbose: Annotated[
        bool,
        Parameter(
            name=["--verbose", "-v"],
            negative="",
            show_default=False,
            help="Log lines of level DEBUG and above on stderr.",
        ),
    ] = False,
    quiet: Annotated[
        bool,
        Parameter(
            name=["--quiet", "-q"],
            negative="",
            show_default=False,
            help="Errors only on stderr, paths instead of summaries on stdout.",
        ),
    ] = False,
    log_format: Annotated[
        LogFormat,
        Parameter(
            env_var=FORMAT_VARIABLE,
            help="Log lines on stderr as text, or as one JSON object per line, from INFO upwards.",
        ),
    ] = "text",
    settings_file: Annotated[
        str | None,
        Parameter(
            name="--config",
            help="Settings file instead of assay.toml; none reads no file.",
        ),
    ] = None,
    debug: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Tracebacks of errors on stderr."),
    ] = False,
) -> None:
    """Run a verb under the options that all verbs share.

    Raises:
        ConfigError: Verbose and quiet output are both requested.
    """
    del debug  # read before the arguments are parsed, since parsing may fail
    if verbose and quiet:
        raise ConfigError("--verbose and --quiet exclude each other; pass one of them")
    with _named(settings_file), verbosity(verbose=verbose, quiet=quiet, log_format=log_format):
        app(arguments, exit_on_error=False, print_error=False)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code.

    Args:
        argv: Arguments after the command's name [default: those of the process].

    Raises:
        SystemExit: The exit code is not 0.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_closed_streams()
    with guarded(), messages_of(arguments), signals.handled(_say) as leaving:
        _main(arguments, leaving)


def _main(arguments: list[str], leaving: signals.Leaving) -> None:
    debug = "--debug" in arguments or bool(os.environ.get("ASSAY_DEBUG"))
    _let_help_have_colours()
    try:
        ensure_home()
        app.meta(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        sys.exit(_complain(f"{error}\nTry: assay --help", EXIT_USAGE))
    except AssayError as error:
        if isinstance(error, OutputLost):
            drop_output()
        if debug:
            raise
        sys.exit(_complain(str(error), error.exit_code))
    except BrokenPipeError:
        # The reader of stdout has closed it, as in `assay show ... | head`.
        drop_output()
    except BaseException as error:
        if (code := signals.exit_code_of(error)) is not None:
            _complain(signals.farewell(error), code)
            leaving.linger(code)
            sys.exit(code)
        if isinstance(error, (SystemExit, GeneratorExit)) or debug:
            raise
        if (found := _damage_behind(error)) is not None:
            sys.exit(_complain(str(found), found.exit_code))
        message = f"{type(error).__name__}: {error}\nThis is a bug; --debug shows the traceback."
        sys.exit(_complain(message, EXIT_BUG))


@contextlib.contextmanager
def _named(settings_file: str | None) -> Iterator[None]:
    """Set the settings file for the block, also for child processes."""
    before = os.environ.get("ASSAY_CONFIG")
    if settings_file is not None:
        os.environ["ASSAY_CONFIG"] = settings_file
    try:
        yield
    finally:
        if settings_file is not None:
            os.environ.pop("ASSAY_CONFIG")
            if before is not None:
                os.environ["ASSAY_CONFIG"] = before


def _let_help_have_colours() -> None:
    """Draw help in colour on terminals, on the stream below the guard."""
    if not sys.stdout.isatty():
        return
    from rich.console import Console

    app.console = app.meta.console = Console(file=unguarded(sys.stdout))


def _damage_behind(error: BaseException) -> AssayError | None:
    """Return the error that names a lake's damaged file, if that caused a library's error."""
    if "polars" not in sys.modules:
        return None
    from ..data.store.damage import explain

    return explain(error)


def _say(message: str, level: int = logging.WARNING) -> None:
    print_message(message if is_json() else f"assay: {message}", level=level)


def _complain(message: str, code: int) -> int:
    _say(message, logging.ERROR)
    return code
