"""The command `assay`: what each verb takes, and which exit code each trouble gives.

Verbs import their work when they run, so that `assay --help` stays fast. stdout carries data,
stderr carries progress and messages.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from .. import __version__
from ..data.errors import AssayError

if TYPE_CHECKING:
    from ..data.lake import Lake
    from .request import Request
    from .result import Moderation

EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = App(
    name="assay",
    help="Tell which images are machine-made: ingest, score, decide, report, publish.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

LakeUri = Annotated[
    str | None,
    Parameter(help="Folder or s3:// prefix of the lake [default: $ASSAY_LAKE or ./assay-lake]."),
]
AsJson = Annotated[bool, Parameter("--json", negative="", help="Print one JSON object on stdout.")]
Quiet = Annotated[bool, Parameter(negative="", help="No progress bars.")]
Server = Annotated[
    bool | None,
    Parameter(
        help="Run as a Prefect flow, on the configured server or a temporary one; or as plain "
        "functions [default: as a flow if a Prefect server is configured]."
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reading:
    """How sources are walked and read."""

    label_from: str | None = None
    "`parent-folder`, or `column:NAME` [default: a column or sidecar named label, if there is one]."
    domain: str | None = None
    "Domain of every item, for the policy's thresholds."
    domain_from: str | None = None
    "`parent-folder` or `column:NAME`."
    image_column: str | None = None
    "Column that holds the bytes, paths or URLs [default: found by name and type]."
    include: tuple[str, ...] = ()
    "Only items whose path matches this pattern; may be repeated."
    exclude: tuple[str, ...] = ()
    "Leave out items whose path matches this pattern; may be repeated."
    allow_private_urls: Annotated[bool, Parameter(negative="")] = False
    "Fetch from loopback, link-local and private addresses too."
    max_bytes: int = 64 * 2**20
    "Largest picture accepted, in bytes."
    max_pixels: int = 100_000_000
    "Largest picture accepted, width times height."


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Judging:
    """Which detector scores and which policy decides."""

    detector: str = "community-forensics"
    "Registered name, org/name@<40-hex revision>, or a local folder; `mini` is the embedded one."
    profile: str | None = None
    "Preprocessing: authors-imagenet or hf-clip [default: the detector's own]."
    positive: str | None = None
    "What a high logit of an unregistered checkpoint means: fake or real."
    policy: str | None = None
    "A policy.toml with thresholds [default: the packaged one]."
    device: str = "auto"
    "auto, cpu, cuda, mps, xpu or tpu."
    precision: str = "auto"
    "auto, fp32, bf16 or fp16."


@app.command
def moderate(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    lake: LakeUri = None,
    reading: Reading = Reading(),
    judging: Judging = Judging(),
    server: Server = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Ingest, score, decide and report: from pictures to a scored dataset.

    A SOURCE is a file, a folder, a glob, a zip or tar, a Parquet, JSONL or CSV table, or a URL.
    Running it again reads nothing that has not changed and scores nothing twice.
    """
    result = _run(_request(lake, sources, reading, judging), "moderate", server=server, quiet=quiet)
    _tell(result, as_json=json_)


@app.command
def ingest(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    lake: LakeUri = None,
    reading: Reading = Reading(),
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read, check and store pictures without scoring them."""
    request = _request(lake, sources, reading, Judging())
    _tell(_run(request, "ingest", server=False, quiet=quiet), as_json=json_)


@app.command
def score(
    *,
    lake: LakeUri = None,
    judging: Judging = Judging(),
    server: Server = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score and decide every image of the lake that this detector has not seen."""
    request = _request(lake, (), Reading(), judging)
    _tell(_run(request, "score", server=server, quiet=quiet), as_json=json_)


@app.command
def report(
    run_id: str = "latest",
    /,
    *,
    lake: LakeUri = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
) -> None:
    """Draw the HTML report of a run again and print its path.

    Args:
        run_id: A run's id, or `latest`.
        lake: Folder or s3:// prefix of the lake.
        out: File to write [default: reports/RUN_ID.html in the lake].
    """
    from ..tasks.report import write_report
    from .lookup import find_run

    opened = _open(lake)
    print(write_report(opened, run_id=find_run(opened, run_id), out=out))  # noqa: T201


@app.command
def show(image_id: str, /, *, lake: LakeUri = None, json_: AsJson = False) -> None:
    """Show all that is known of one image; the first 6 or more characters of its id will do."""
    from .lookup import describe_image, draw_image

    known = describe_image(_open(lake), image_id)
    print(json.dumps(known, default=str) if json_ else draw_image(known))  # noqa: T201


@app.command
def publish(
    *,
    lake: LakeUri = None,
    to: Path,
    format_: Annotated[Literal["hf"], Parameter("--format")] = "hf",
    detector: str | None = None,
    seed: int = 0,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    allow_shortcuts: Annotated[bool, Parameter(negative="")] = False,
    json_: AsJson = False,
) -> None:
    """Write the labelled dataset as a folder that `datasets.load_dataset` opens.

    Args:
        lake: Folder or s3:// prefix of the lake.
        to: Folder to write; it must not exist yet, or be empty.
        format_: `hf`: Parquet, ClassLabel and a card.
        detector: Whose scores to publish [default: the one that scored last].
        seed: Decides which near-duplicate group falls into which split.
        overwrite: Replace the folder if it exists.
        allow_shortcuts: Reserved for a later check of file format and size as label shortcuts.
        json_: Print one JSON object on stdout.
    """
    from ..tasks.publish import publish as publish_lake

    result = publish_lake(
        _open(lake),
        to,
        format=format_,
        detector=detector,
        seed=seed,
        overwrite=overwrite,
        allow_shortcuts=allow_shortcuts,
    )
    if json_:
        print(json.dumps(result.to_json()))  # noqa: T201
        return
    counted = ", ".join(
        f"{name} {n:,}" for name, n in (*result.splits.items(), *result.labels.items())
    )
    print(  # noqa: T201
        f"published   {result.out}\n            {counted}; {result.groups:,} groups of copies\n"
        f'next\n  python -c "import datasets; print(datasets.load_dataset({result.out!r}))"'
    )


@app.command
def serve(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    lake: LakeUri = None,
    cron: str | None = None,
    name: str = "assay-moderate",
    reading: Reading = Reading(),
    judging: Judging = Judging(),
) -> None:
    """Run `moderate` on a schedule on this machine, and when Prefect's pages or API ask.

    Args:
        sources: What every run reads; only what is new is read and scored.
        lake: Folder or s3:// prefix of the lake.
        cron: Five fields in UTC, such as "0 * * * *" for every full hour.
        name: Name of the deployment.
        reading: How sources are walked and read.
        judging: Which detector scores and which policy decides.
    """
    from .serve import serve as serve_flow

    serve_flow(_request(lake, sources, reading, judging), cron=cron, name=name)


@app.command
def train_mini(
    *,
    real: tuple[Path, ...],
    fake: tuple[Path, ...] = (),
    out: Path,
    autoencoder: tuple[Path, ...] = (),
    unseen_autoencoder: tuple[Path, ...] = (),
    manifest: tuple[Path, ...] = (),
    hold_out: tuple[str, ...] = (),
    minutes: float = 30.0,
    seed: int = 0,
    cache: Path | None = None,
) -> None:
    """Train the embedded detector on your own folders, with figures on sources it never saw.

    Args:
        real: Folder of photos; the first folder level below it names the source. Repeatable.
        fake: Folder of machine-made pictures, likewise. Repeatable.
        out: Folder for the checkpoint, its card and its figures.
        autoencoder: Diffusers folder that makes aligned fakes of the photos [default: a small
            one is fitted on them first]. Repeatable.
        unseen_autoencoder: Diffusers folder used for held-out figures only. Repeatable.
        manifest: TSV that names each picture's generator and licence. Repeatable.
        hold_out: Source or generator to learn nothing from; `*` matches any characters.
        minutes: Training time.
        seed: Of everything that is drawn.
        cache: Folder that keeps reconstructed photos between trainings.
    """
    from ..tasks.detector.training.train import MiniSettings
    from ..tasks.detector.training.train import train_mini as train

    settings = MiniSettings(
        real=real,
        fake=fake,
        out=out,
        autoencoders=autoencoder,
        unseen_autoencoders=unseen_autoencoder,
        manifests=manifest,
        hold_out=hold_out,
        minutes=minutes,
        seed=seed,
        cache_dir=cache,
    )
    result = train(settings, on_progress=lambda line: print(line, file=sys.stderr))  # noqa: T201
    print(  # noqa: T201
        f"{result.out}: {result.n_parameters / 1e6:.1f} M parameters, {result.steps} steps in "
        f"{result.seconds:.0f} s\nsha256 {result.weights_sha256}\n"
        f"Read {result.out / 'README.md'}, then: assay moderate SOURCE --detector {result.out}"
    )


@app.command
def doctor(*, lake: LakeUri = None, json_: AsJson = False) -> None:
    """Check this machine: versions, devices, detectors, the lake, Prefect, optional parts."""
    from .doctor import draw, examine

    found = examine(lake)
    print(json.dumps([check.to_json() for check in found]) if json_ else draw(found))  # noqa: T201
    if any(check.status == "broken" for check in found):
        raise SystemExit(EXIT_BUG)


@app.command
def demo(*, lake: str = "demo-lake", json_: AsJson = False, quiet: Quiet = False) -> None:
    """Run the whole loop on pictures drawn here and the embedded detector; no network.

    Args:
        lake: Folder for the demo's pictures and lake.
        json_: Print one JSON object on stdout.
        quiet: No progress bars.
    """
    from .demo import demo_request

    _tell(_run(demo_request(Path(lake)), "moderate", server=False, quiet=quiet), as_json=json_)
    if not json_:
        print(  # noqa: T201
            "  assay moderate YOUR-PICTURES --detector mini\n"
            "The demo draws its pictures, so what these scores say of them means nothing."
        )


def _request(
    lake: str | None, sources: Sequence[str], reading: Reading, judging: Judging
) -> Request:
    from .request import Request, default_lake

    return Request(
        lake=lake or default_lake(), sources=tuple(sources), **vars(reading), **vars(judging)
    )


def _open(lake: str | None) -> Lake:
    from ..data.lake import Lake
    from .request import default_lake

    return Lake(lake or default_lake(), create=False)


def _run(request: Request, verb: str, *, server: bool | None, quiet: bool) -> Moderation:
    from .arenas import limit_arenas
    from .prefect_home import configured_api_url, settle
    from .progress import for_terminal, watched

    limit_arenas()  # before the imports below start threads
    with watched(for_terminal(quiet=quiet)):
        if server is None:
            server = configured_api_url() is not None
        if not server:
            from .run import run

            return run(request, flow=verb)
        settle(quiet=True)
        from .moderate import moderate as moderate_flow

        result: Moderation = moderate_flow(**request.params())
        return result


def _tell(result: Moderation, *, as_json: bool) -> None:
    print(json.dumps(result.to_json()) if as_json else result.summary())  # noqa: T201


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command and exits with the code of what happened."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or bool(os.environ.get("ASSAY_DEBUG"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        sys.exit(_complain(f"{error}\nTry: assay --help", EXIT_USAGE))
    except KeyboardInterrupt:
        sys.exit(
            _complain(
                "interrupted; nothing is lost, run the same command again to go on",
                EXIT_INTERRUPTED,
            )
        )
    except AssayError as error:
        if debug:
            raise
        sys.exit(_complain(str(error), error.exit_code))
    except BrokenPipeError:
        # The reader of stdout went away, as in `assay show ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if debug:
            raise
        message = f"{type(error).__name__}: {error}\nThis is a bug; --debug shows where."
        sys.exit(_complain(message, EXIT_BUG))


def _complain(message: str, code: int) -> int:
    print(f"assay: {message}", file=sys.stderr)  # noqa: T201
    return code
