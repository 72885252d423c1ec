"""What the command prints steers no terminal and holds no secret, wherever it comes from."""

import io
import json
import logging
import shlex
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from assay.data.store.lake import Lake
from assay.flows import progress
from assay.flows.cli import main
from assay.flows.process.terminal import GuardedStream, guarded
from assay.tasks.pages.captions import cut
from assay.tasks.runs.run_record import find_run

EVIL = "a\x1b[31mred\x1b]0;title\x07\u202e https://u:PASSWORD@h/x?sig=SIGNATURE"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Return that it is a terminal."""
        return True


def is_clean(text):
    return not any(word in text for word in ("\x1b", "\x07", "\u202e", "PASSWORD", "SIGNATURE"))


def test_everything_that_is_printed_is_guarded(monkeypatch, capsys):
    """Prints, writes in parts, logs and warnings; afterwards the streams are as they were."""
    before = sys.stdout, sys.stderr
    with guarded():
        print(EVIL, EVIL, sep="\n")
        sys.stdout.writelines([EVIL])
        logging.getLogger("assay.test").warning("%s", EVIL)
        print(EVIL, file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    told = capsys.readouterr()
    assert is_clean(told.out)
    assert is_clean(told.err)
    assert told.out.count(r"a\x1b[31mred") == 3


def test_errors_of_the_command_are_guarded(capsys, tmp_path):
    """Names of sources and options that are not there are shown, not obeyed."""
    for arguments in (
        ["ingest", str(tmp_path / EVIL[:9]), "--lake", str(tmp_path / "lake")],
        ["ingest", EVIL.split()[1].replace("https", "ftp"), "--lake", str(tmp_path / "lake")],
        ["show", EVIL, "--lake", str(tmp_path / "lake")],
        [f"--{EVIL}"],
    ):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code in {2, 3, 4}
        told = capsys.readouterr()
        assert told.err
        assert is_clean(told.out + told.err)


def test_bars_on_a_terminal_draw_and_names_in_them_do_not(monkeypatch):
    """Bars use escape codes of their own; a name in them, or a print beside them, has none."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", Terminal())
    with guarded():
        bars = progress.Bars()
        bars.begin("block \x1b]0;title\x07 [bold]", 2)
        print("beside \x1b]0;title\x07", file=sys.stderr)
        bars.end()
    shown = screen.getvalue()
    assert "\x1b[" in shown
    assert "\x1b]0;" not in shown
    assert "\x07" not in shown
    assert r"block \x1b]0;title\x07 [bold]" in shown
    assert r"beside \x1b]0;title\x07" in shown


def test_bars_of_libraries_move_and_nothing_else_does():
    """A carriage return or cursor-up that begins a write passes on a terminal, and only there."""
    for stream, lead in ((Terminal(), "\r"), (Terminal(), "\n\x1b[A"), (io.StringIO(), "")):
        GuardedStream(stream).write(f"{lead}50 %\r\x1b[2J")
        assert stream.getvalue() == f"{lead}50 %\\x0d\\x1b[2J"


def test_a_stream_without_the_characters_gets_escapes():
    """Where the encoding has no such letter it is written as an escape, and nothing fails."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    GuardedStream(stream).write("na\u00efve \u4e2d\n")
    assert raw.getvalue() == b"na\\xefve \\u4e2d\n"


def test_secrets_in_rows_of_older_lakes_are_not_shown(tmp_path):
    """A run that wrote down a signature is told without it, and so is an address in a page."""
    lake = Lake(tmp_path / "lake")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    params = {"sources": ["https://u:PASSWORD@h/x?sig=SIGNATURE", "pics"], "detector": "mini@1"}
    row = {
        "run_id": "run-1",
        "flow": "moderate",
        "status": "completed",
        "params": json.dumps(params),
        "config_sha256": "0",
        "code_version": "0",
        "started_at": now,
        "finished_at": now,
        "counts": "{}",
    }
    lake.append("runs", [row], txn="older")
    told = find_run(lake, "run-1").params
    assert told == params | {"sources": ["https://***@h/x?sig=***", "pics"]}
    assert is_clean(cut(EVIL))


@pytest.mark.parametrize(
    ("streams", "arguments", "code", "told"),
    [
        (">/dev/full", "models list", 4, "stdout cannot be written: No space left"),
        ("2>/dev/full", "--nope", 2, ""),
        ("<&- >&- 2>&-", "models list", 0, ""),
    ],
)
def test_streams_that_are_full_or_closed_keep_the_exit_code(streams, arguments, code, told):
    """A full disk behind stdout is told; messages that nobody can read change nothing."""
    command = f"{shlex.quote(sys.executable)} -m assay {arguments} {streams}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert told in done.stderr
    assert "bug" not in done.stderr


def test_closed_streams_take_no_number_of_a_file():
    """A file opened later by a process without stdout is not written to by what prints."""
    code = (
        "from assay.flows.process.terminal import open_closed_streams as o; o(); import os;"
        "assert os.open('/dev/zero', os.O_RDONLY) > 2"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} <&- >&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
