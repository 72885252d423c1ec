"""The command as a user meets it: real processes, real files, exit codes, stdout and stderr."""

import json
import os
import pty
import subprocess
import sys
import threading

import factories
import pytest
from processes import forked_command

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.flows.installation import demo

pytestmark = pytest.mark.xdist_group("forked")  # one process makes their lake, and forks

FIELDS = {
    "run_id",
    "lake",
    "items",
    "stored",
    "duplicates",
    "rejected",
    "scored",
    "failed",
    "decisions",
    "seconds",
    "images_per_second",
    "report",
}


def environment(cwd):
    """Away from any Prefect settings of the machine."""
    own = {
        **os.environ,
        "PREFECT_HOME": str(cwd / "prefect-home"),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cwd / "hf-home"),
    }
    own.pop("PREFECT_API_URL", None)
    return own


def assay(*arguments, cwd):
    """Run the command in a separate process, with all imports."""
    return subprocess.run(
        [sys.executable, "-m", "assay", *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def forked(*arguments, cwd):
    """Run the command in a process that has the imports done."""
    return forked_command(*arguments, cwd=cwd, env=environment(cwd))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Create a folder with images and defects, moderated once with the embedded detector."""
    here = tmp_path_factory.mktemp("world")
    folder = here / "pictures"
    (folder / "deep").mkdir(parents=True)
    jpeg = factories.jpeg(seed=1)
    (folder / "a.jpg").write_bytes(jpeg)
    (folder / "deep" / "copy of a.jpg").write_bytes(jpeg)
    (folder / "b.png").write_bytes(factories.png(seed=2))
    (folder / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "<img src=x onerror=alert(1)>.txt").write_bytes(b"words, not pixels")
    (folder / ".hidden").write_bytes(b"left out")
    done = assay("moderate", "pictures", "--lake", "lake", "--detector", "mini", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    return here, json.loads(done.stdout), done


def test_every_item_is_counted_once(world):
    """Five regular files that are not hidden: two stored, one copy, two rejected."""
    _, told, _ = world
    assert set(told) >= FIELDS
    assert (told["items"], told["stored"], told["duplicates"], told["rejected"]) == (5, 2, 1, 2)
    assert (told["scored"], told["failed"]) == (2, 0)
    assert sum(told["decisions"].values()) == 2


def test_nothing_but_json_on_stdout_and_nothing_on_a_stderr_that_is_no_terminal(world):
    """A pipeline can parse what it reads and mails nobody about what it need not."""
    _, _, done = world
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_a_second_run_reads_and_scores_nothing(world):
    """Known items are unchanged, scored images are not scored again, counts stay the same."""
    here, first, _ = world
    done = forked(
        "moderate", "pictures", "--lake", "lake", "--detector", "mini", "--json", cwd=here
    )
    again = json.loads(done.stdout)
    for name in ("items", "stored", "duplicates", "rejected", "decisions"):
        assert again[name] == first[name]
    assert (again["unchanged"], again["scored"], again["already_scored"]) == (5, 0, 2)
    lake = Lake(here / "lake")
    assert lake.scan("sightings").collect().height == 5
    assert lake.scan("scores").collect().height == 2


def test_the_report_is_a_file_that_names_the_rejected(world):
    """The report lies where the answer says, and shows a hostile name as text."""
    here, told, _ = world
    page = (here / told["report"]).read_text()
    assert "truncated" in page
    assert "not_an_image" in page
    assert "<img src=x onerror=alert(1)>.txt" not in page


def test_show_tells_what_is_known_of_an_image(world):
    """An id's beginning is enough; facts, sightings and score are there."""
    here, _, _ = world
    image_id = Lake(here / "lake").scan("scores").collect()["image_id"][0]
    told = json.loads(forked("show", image_id[:10], "--lake", "lake", "--json", cwd=here).stdout)
    assert told["image"]["image_id"] == image_id
    assert told["scores"][0]["status"] == "scored"
    shown = forked("show", image_id[:10], "--lake", "lake", cwd=here).stdout
    assert image_id in shown
    assert "prob_fake" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["moderate"], 2, "SOURCE"),
        (["moderate", "pictures", "--no-such-flag"], 2, "--no-such-flag"),
        (["frobnicate"], 2, "frobnicate"),
        (["moderate", "nowhere", "--lake", "l", "--detector", "mini"], 3, "nowhere"),
        (["show", "0000000000", "--lake", "lake"], 3, "0000000000"),
        (["score", "--lake", "no-lake", "--detector", "mini"], 4, "no-lake"),
        (["moderate", "pictures", "--lake", "pictures", "--detector", "mini"], 4, "pictures"),
        (["moderate", "pictures", "--lake", "l"], 5, "CommunityForensics"),
        (["moderate", "pictures", "--lake", "l", "--detector", "a/b"], 5, "a/b"),
        (["moderate", "pictures", "--lake", "l", "--policy", "none.toml"], 2, "none.toml"),
    ],
)
def test_each_kind_of_trouble_has_its_exit_code(world, arguments, code, says):
    """One line on stderr that names what was seen, no traceback, nothing on stdout."""
    here, _, _ = world
    done = forked(*arguments, cwd=here)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_debug_shows_the_traceback(world):
    """Whoever wants to see where it happened can."""
    here, _, _ = world
    done = forked("score", "--lake", "no-lake", "--detector", "mini", "--debug", cwd=here)
    assert "Traceback" in done.stderr


def test_ingest_then_score_is_moderate_in_two_steps(world):
    """Storing first and scoring later gives the same images the same logits."""
    here, _, _ = world
    ingested = json.loads(forked("ingest", "pictures", "--lake", "two", "--json", cwd=here).stdout)
    assert (ingested["stored"], ingested["scored"]) == (2, 0)
    scored = json.loads(
        forked("score", "--lake", "two", "--detector", "mini", "--json", cwd=here).stdout
    )
    assert scored["scored"] == 2
    logits = [
        Lake(here / name).scan("scores").sort("image_id").collect()["logit"].to_list()
        for name in ("lake", "two")
    ]
    assert logits[0] == pytest.approx(logits[1], abs=1e-3)


def test_publish_writes_a_folder_that_datasets_opens(world, monkeypatch):
    """From the lake to `load_dataset` in one command."""
    here, _, _ = world
    done = forked("publish", "--lake", "lake", "--to", "published", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("HF_HOME", str(here / "hf-datasets"))
    from datasets import load_dataset

    splits = load_dataset(str(here / "published"), cache_dir=str(here / "hf-cache"))
    assert sum(len(split) for split in splits.values()) == 2


@pytest.mark.xdist_group("demo")
def test_the_demo_shows_every_outcome_and_progress_on_a_terminal(tmp_path, monkeypatch, capsys):
    """The first command of the README: all items accounted for, bars on stderr, data on stdout.

    It runs in this process, which has loaded what it needs, and makes images from one photo.
    """
    ours, theirs = pty.openpty()
    drawn = []
    # A daemon: where the demo fails, nothing closes the terminal and the thread reads for ever.
    reader = threading.Thread(
        target=lambda: drawn.extend(iter(lambda: read_some(ours), b"")), daemon=True
    )
    reader.start()
    monkeypatch.chdir(tmp_path)
    plan = demo.PLAN | {"parents": demo.PLAN["parents"] | {"n": 1}}
    monkeypatch.setattr(demo, "PLAN", plan)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    try:
        with os.fdopen(theirs, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            main(["demo", "--json"])
    finally:
        reader.join(timeout=10)
        os.close(ours)
    told = json.loads(capsys.readouterr().out)
    assert told["items"] == told["stored"] + told["duplicates"] + told["rejected"]
    assert told["duplicates"] == 1
    assert told["rejected"] == 4
    assert told["scored"] == told["stored"]
    # One aligned, two laundered, two image-to-image, four by text, one attacked, and that laundered
    assert (told["augment"]["made"], told["augment"]["scored"]) == (12, 12)
    screen = b"".join(drawn).decode()
    assert "moderate" in screen
    assert "34/34" in screen
    assert "images/s" in screen


def read_some(terminal):
    """Return the next output of a terminal; "" if its other end is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_doctor_names_the_embedded_detector(tmp_path):
    """A healthy machine gives exit code 0 and one line a check."""
    done = forked("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "mini" in done.stdout


def test_the_help_lists_verbs_by_what_they_are_for(capsys):
    """A panel per folder of verbs, in the order in which work is done; none without a group."""
    main(["--help"])
    shown = capsys.readouterr().out
    panels = [line.split("─")[1].strip() for line in shown.splitlines() if line.startswith("╭")]
    assert panels == [
        "Runs",
        "Images and runs of a lake",
        "Decisions and people's answers",
        "Datasets",
        "Care of a lake",
        "Detectors and generators",
        "Installation and settings",
        "Global options",
    ]
