"""The command `assay`: its verbs and its exit codes.

Verbs import their work when they run, which keeps `assay --help` fast. stdout carries data,
stderr progress and messages.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from cyclopts import App, CycloptsError

from ..data.cache import ensure_home
from ..data.errors import AssayError, OutputLost
from ..version import __version__
from .commands import (
    bench,
    config,
    demo,
    doctor,
    explain,
    export,
    ingest,
    init,
    lake,
    ls,
    models,
    moderate,
    patches,
    policy,
    publish,
    query,
    report,
    runs,
    score,
    serve,
    show,
    similar,
    synth,
    train_mini,
    views,
)
from .process import signals
from .process.terminal import drop_output, guarded, open_closed_streams, unguarded

EXIT_BUG = 1
EXIT_USAGE = 2

app = App(
    name="assay",
    help="Detect AI-generated images: ingest, score, decide, report, publish.",
    help_epilogue="With every command: --config FILE reads settings from FILE instead of "
    "assay.toml, --config none from no file; --debug shows tracebacks.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for verb in (
    moderate.moderate,
    ingest.ingest,
    score.score,
    serve.serve,
    demo.demo,
    report.report,
    runs.runs,
    ls.ls,
    query.query,
    export.export,
    show.show,
    explain.explain,
    similar.similar,
    views.views,
    patches.patches,
    publish.publish,
    train_mini.train_mini,
    doctor.doctor,
    init.init,
    bench.bench,
):
    app.command(verb)
models.models.command(bench.quantise)
app.command(models.models)
app.command(synth.synth)
app.command(lake.lake_app)
app.command(policy.policy)
app.command(config.config)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code.

    Args:
        argv: Arguments after the command's name [default: those of the process].

    Raises:
        SystemExit: The exit code is not 0.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_closed_streams()
    with guarded(), signals.handled(_say) as leaving:
        _main(arguments, leaving)


def _main(arguments: list[str], leaving: signals.Leaving) -> None:
    debug = "--debug" in arguments or bool(os.environ.get("ASSAY_DEBUG"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    arguments, settings_file = _settings_file(arguments)
    _let_help_have_colours()
    try:
        ensure_home()
        with _named(settings_file):
            app(arguments, exit_on_error=False, print_error=False)
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


def _settings_file(arguments: list[str]) -> tuple[list[str], str | None]:
    """Return the arguments without `--config FILE`, and the file.

    Raises:
        SystemExit: No file is named.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for at, argument in enumerate(arguments[:end]):
        if argument.startswith("--config="):
            return arguments[:at] + arguments[at + 1 :], argument.removeprefix("--config=")
        if argument == "--config":
            if at + 1 >= end:
                sys.exit(_complain("--config needs a file, or none", EXIT_USAGE))
            return arguments[:at] + arguments[at + 2 :], arguments[at + 1]
    return arguments, None


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

    app.console = Console(file=unguarded(sys.stdout))


def _damage_behind(error: BaseException) -> AssayError | None:
    """Return the error that names a lake's damaged file, if that caused a library's error."""
    if "polars" not in sys.modules:
        return None
    from ..data.store.damage import explain

    return explain(error)


def _say(message: str) -> None:
    print(f"assay: {message}", file=sys.stderr, flush=True)  # noqa: T201


def _complain(message: str, code: int) -> int:
    _say(message)
    return code
