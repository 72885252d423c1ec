"""`assay review`: what the verbs print, which files they leave, and with which exit code."""

import csv
import json
from datetime import UTC, datetime, timedelta

import lakes
import pytest
from lakes import Shot

from assay.flows.cli import main
from assay.tasks.review.answer import Answer
from assay.tasks.review.answers import standing_answers
from assay.tasks.review.journal import Journal

LABELS = {"ann": ["fake", "real", "real", "fake"], "bo": ["fake", "real", "fake", "unsure"]}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Return a lake of five images, four of them answered by two people."""
    shots = [Shot(name=f"{n}.jpg", seed=n, prob=0.99 if n % 2 else 0.01) for n in range(5)]
    made = lakes.lake_of(tmp_path_factory.mktemp("template") / "lake", shots)
    answers = [
        Answer(
            image_id=made.ids[f"{n}.jpg"],
            label=label,
            reviewer=reviewer,
            seconds=2.0 + n,
            origin="page",
            kind="queue",
            reviewed_at=datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=n),
        )
        for reviewer, labels in LABELS.items()
        for n, label in enumerate(labels)
    ]
    with Journal(made.lake) as journal:
        journal.record(answers)
    return made


@pytest.fixture
def made(template, tmp_path):
    return lakes.copied(template, tmp_path / "lake")


@pytest.fixture
def assay(made, capsys):
    """Return a function that runs a verb on the lake: exit code, stdout, stderr."""

    def run(*arguments):
        try:
            main(["review", *map(str, arguments), "--lake", made.lake.uri])
            code = 0
        except SystemExit as left:
            code = left.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def told(assay):
    """Return a function that runs a verb and gives its JSON."""

    def run(*arguments):
        code, out, _ = assay(*arguments, "--json")
        assert code == 0
        return json.loads(out)

    return run


def test_stats_of_a_lake_that_can_be_counted_by_eye(made, told, assay):
    """Four images, eight answers; of the three with two labels one is disputed."""
    assay("golden", "add", "0.jpg", "2.jpg", "--label", "real", "--reviewer", "lead")
    stats = told("stats")
    assert (stats["answers"], stats["images"], stats["twice"], stats["disputed"]) == (8, 4, 3, 1)
    assert stats["labels"] == {"real": 3, "fake": 4, "laundered": 0, "unsure": 1}
    (pair,) = stats["pairs"]
    assert (pair["first"], pair["second"], pair["kappa"]["n_images"]) == ("ann", "bo", 3)
    assert pair["kappa"]["value"] == pytest.approx(0.4)
    ann = next(record for record in stats["golden_records"] if record["reviewer"] == "ann")
    assert (ann["right"]["k"], ann["right"]["n"]) == (1, 2)
    assert [pace["seconds_median"] for pace in stats["paces"]] == [3.5, 3.5]
    assert {day["answers"] for day in stats["per_day"]} == {1}
    _, text, _ = assay("stats")
    assert "two or more 3 images, of which 1 are disputed" in text
    assert "ann, bo" in text


def test_stats_of_one_reviewer_say_why_there_is_no_agreement(tmp_path, capsys):
    """A lead sees a sentence instead of a number."""
    made = lakes.lake_of(tmp_path / "lone", [Shot(name="a.jpg")])
    main(["review", "stats", "--lake", made.lake.uri])
    assert "has no answers yet" in capsys.readouterr().out
    lakes.reviewed(made, "a.jpg", "fake")
    main(["review", "stats", "--lake", made.lake.uri])
    text = capsys.readouterr().out
    assert "cannot be measured: all answers with a label are from one reviewer, ann" in text
    assert "not timed" in text


def test_an_export_and_its_import(made, assay, told, tmp_path):
    """Chosen answers go out; coming back, they are known."""
    file = tmp_path / "answers.csv"
    assert told("export", "--to", file, "--reviewer", "bo", "--decision", "flag")["answers"] == 2
    rows = list(csv.DictReader(file.open()))
    assert {(row["reviewer"], row["label"]) for row in rows} == {("bo", "real"), ("bo", "unsure")}
    done = told("import", file)
    assert (done["recorded"], done["already_recorded"]) == (0, 2)
    code, _, message = assay("export", "--to", file)
    assert (code, "is there already" in message) == (2, True)


def test_a_dry_run_writes_and_records_nothing(made, told, tmp_path):
    """Counts are those of the run."""
    file = tmp_path / "new.csv"
    file.write_text(f"image_id,label,reviewer\n{made.ids['4.jpg']},real,cy\n")
    assert told("import", file, "--dry-run")["writes"][0]["count"] == 1
    assert standing_answers(made.lake).collect().height == 8
    to = tmp_path / "out.json"
    effects = told("export", "--as", "label-studio", "--unanswered", "--to", to, "--dry-run")
    assert effects["writes"][0] == {
        "count": 1,
        "what": "tasks",
        "where": str(to),
        "at_most": False,
    }
    assert not to.exists()


def test_unanswered_images_go_to_label_studio(made, told, assay, tmp_path):
    """One of five has no answer; a blind task has no prediction."""
    to = tmp_path / "tasks.json"
    done = told("export", "--as", "label-studio", "--unanswered", "--blind", "--to", to)
    assert (done["tasks"], done["predictions"]) == (1, 0)
    (task,) = json.loads(to.read_text())
    assert task["data"]["image_id"] == made.ids["4.jpg"]
    code, _, message = assay("export", "--as", "label-studio", "--to", tmp_path / "tasks.csv")
    assert (code, "tasks for Label Studio are a .json file" in message) == (2, True)


def test_the_interface_is_printed_or_written(capsys, tmp_path):
    """The same XML on stdout and in a file, which is not replaced unasked."""
    main(["review", "label-studio"])
    xml = capsys.readouterr().out
    assert xml.startswith("<View>")
    file = tmp_path / "interface.xml"
    main(["review", "label-studio", "--to", str(file), "--dry-run"])
    assert not file.exists()
    main(["review", "label-studio", "--to", str(file)])
    assert file.read_text() == xml
    with pytest.raises(SystemExit) as left:
        main(["review", "label-studio", "--to", str(file)])
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("option", "value", "form"),
    [("--map", "5=maybe", "VALUE=LABEL"), ("--annotator", "7", "USER=NAME")],
)
def test_a_map_must_be_one(assay, tmp_path, option, value, form):
    """A pair without a label or a name is a usage error."""
    code, _, message = assay("import", tmp_path / "x.json", option, value)
    assert (code, f"{option} '{value}' is not {form}" in message) == (2, True)


def test_golden_items_are_set_listed_and_removed(made, assay, told):
    """Images are named as everywhere: by the end of a path, or by the start of an id."""
    done = told(
        "golden", "add", "0.jpg", made.ids["1.jpg"][:12], "--label", "fake", "--reviewer", "lead"
    )
    assert set(done["image_ids"]) == {made.ids["0.jpg"], made.ids["1.jpg"]}
    assert told("golden", "remove", "0.jpg", "--reviewer", "lead")["image_ids"] == [
        made.ids["0.jpg"]
    ]
    (item,) = told("golden", "list")["golden"]
    assert (item["image_id"], item["label"], item["set_by"]) == (made.ids["1.jpg"], "fake", "lead")
    assert made.ids["1.jpg"][:16] in assay("golden", "list")[1]
    assert assay("golden", "add", "nowhere.jpg", "--label", "fake", "--reviewer", "lead")[0] == 3


def test_an_overturned_flag_is_what_a_detector_is_tested_on(made, assay, told, tmp_path):
    """Opened, listed, decided by somebody new; the embedded detector passes or fails by score."""
    opened = told("appeal", "open", "3.jpg", "--text", "I took this", "--by", "artist")
    assert "I took this" in assay("appeal", "list")[1]
    code, _, message = assay(
        "appeal", "decide", opened["appeal_id"], "--label", "real", "--reviewer", "ann"
    )
    assert (code, "another reviewer decides" in message) == (3, True)
    done = told("appeal", "decide", opened["appeal_id"][:8], "--label", "real", "--reviewer", "cy")
    assert done["state"] == "overturned"
    assert "no open appeals" in assay("appeal", "list")[1]
    assert "overturned: real" in assay("appeal", "list", "--all")[1]
    (image,) = told("regressions")["regressions"]
    assert (image["image_id"], image["label"]) == (made.ids["3.jpg"], "real")
    file = tmp_path / "set.csv"
    assert assay("regressions", "--to", file)[0] == 0
    assert [row["label"] for row in csv.DictReader(file.open())] == ["real"]
    lenient = tmp_path / "policy.toml"
    for flag_at, code in ((1.0, 0), (1e-9, 6)):
        lenient.write_text(
            'name = "p"\nmin_short_edge_px = 0\nunlisted_domain = "default"\n'
            f"[default]\nreview_at = 0.0\nflag_at = {flag_at}\n"
        )
        ended, out, message = assay(
            "regressions", "--detector", "mini", "--policy", lenient, "--backend", "openvino"
        )
        assert ended == code, message
        assert ("FAILS" in out) == ("fails on 1 of 1 image" in message) == (code == 6)
