"""Answers as CSV and JSON lines: out and back, each once, whole or not at all."""

import json
from datetime import UTC, datetime

import lakes
import pytest
from lakes import Shot

from assay.data.errors import InputError
from assay.tasks.exchange.answer_files import COLUMNS, write_answers
from assay.tasks.exchange.import_answers import check_import, import_answers
from assay.tasks.exchange.label_studio_values import Reader
from assay.tasks.review.answer import Answer, withdrawal
from assay.tasks.review.answers import all_answers, standing_answers
from assay.tasks.review.journal import Journal

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NOTES = ["=1+1", "'=1+1", 'quote " and, comma', "two\nlines", "ünïcode ✓", "-5 °C", None]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    shots = [Shot(name=f"{n}.jpg", seed=n) for n in range(len(NOTES))]
    return lakes.lake_of(tmp_path_factory.mktemp("template") / "lake", shots)


@pytest.fixture
def made(template, tmp_path):
    return lakes.copied(template, tmp_path / "lake")


@pytest.fixture
def other(template, tmp_path):
    return lakes.copied(template, tmp_path / "other")


@pytest.fixture
def answered(made):
    """Return a lake with an answer per image, whose notes are hard to write as CSV."""
    answers = [
        Answer(
            image_id=made.ids[f"{n}.jpg"],
            label=("real", "fake", "laundered", "unsure")[n % 4],
            reviewer="=Ann, 1st",
            note=note,
            reason="known_source" if n == 2 else None,
            seconds=1.5,
            origin="page",
            kind="queue",
            reviewed_at=NOW,
        )
        for n, note in enumerate(NOTES)
    ]
    with Journal(made.lake) as journal:
        journal.record(answers)
    return made


def said(lake):
    """Return what all rows say, in the columns of a file."""
    return all_answers(lake).select(COLUMNS).sort("answer_id").collect().rows()


def imported(made, file, **more):
    return import_answers(made.lake, file, reader=Reader(), **more)


def table(tmp_path, *lines, name="answers.csv", end="\n", encoding="utf-8"):
    file = tmp_path / name
    file.write_bytes((end.join(lines) + end).encode(encoding))
    return file


@pytest.mark.parametrize(("kind", "suffix"), [("csv", ".csv"), ("jsonl", ".jsonl")])
def test_a_file_brings_the_same_answers_to_another_lake(answered, other, tmp_path, kind, suffix):
    """Notes with formulas, quotes and line breaks, names, times and ids come back as they were."""
    file = tmp_path / f"answers{suffix}"
    assert write_answers(standing_answers(answered.lake).collect(), file, kind=kind) == len(NOTES)
    made = imported(other, file)
    assert (len(made.answers), made.n_known) == (len(NOTES), 0)
    expected = [
        (*row[:4], "=1+1" if kind == "csv" and row[4] == "'=1+1" else row[4], *row[5:])
        for row in said(answered.lake)
    ]
    assert said(other.lake) == expected


@pytest.mark.parametrize(("kind", "suffix"), [("csv", ".csv"), ("jsonl", ".jsonl")])
def test_an_import_into_its_own_lake_records_nothing(answered, tmp_path, kind, suffix):
    """Every answer of an export is known by its id, however its note was protected."""
    file = tmp_path / f"answers{suffix}"
    write_answers(standing_answers(answered.lake).collect(), file, kind=kind)
    before = said(answered.lake)
    made = imported(answered, file)
    assert (made.answers, made.n_known) == ([], len(NOTES))
    assert said(answered.lake) == before


def test_no_cell_of_the_table_is_a_formula(answered, tmp_path):
    """A spreadsheet shows "=1+1" and "=Ann" as text."""
    file = tmp_path / "answers.csv"
    write_answers(standing_answers(answered.lake).collect(), file, kind="csv")
    text = file.read_text()
    assert '"\'=1+1"' in text
    assert '"=' not in text


def test_a_table_without_ids_and_times_is_recorded_once(made, tmp_path):
    """Ids come from the content: the same file again records nothing, a new label records one."""
    head = "image_id,label,reviewer"
    ids = [made.ids["0.jpg"], made.ids["1.jpg"]]
    first = table(tmp_path, head, f"{ids[0]},real,ann", f"{ids[1].upper()},Fake,ann", "")
    assert len(imported(made, first).answers) == 2
    assert len(imported(made, first).answers) == 0
    second = table(tmp_path, head, f"{ids[0]},fake,ann", f"{ids[1]},fake,ann")
    assert len(imported(made, second).answers) == 1
    labels = standing_answers(made.lake).select("image_id", "label").collect().rows()
    assert dict(labels) == {ids[0]: "fake", ids[1]: "fake"}


def test_of_two_answers_of_one_reviewer_in_a_file_the_later_row_counts(made, tmp_path):
    """Rows without a time are as late as their order in the file."""
    image_id = made.ids["0.jpg"]
    rows = [f"{image_id},{label},ann" for label in ("real", "fake", "unsure", "laundered")]
    imported(made, table(tmp_path, "image_id,label,reviewer", *rows))
    assert standing_answers(made.lake).collect()["label"].to_list() == ["laundered"]


@pytest.mark.parametrize("column", ["sha256", "source_uri", "path"])
def test_images_are_found_by_hash_uri_or_path(made, tmp_path, column):
    """A row may name the hash of the file, the URI that it was ingested from, or its path."""
    cell = {
        "sha256": made.ids["3.jpg"],
        "source_uri": "file:///pictures/3.jpg",
        "path": "/pictures/3.jpg",
    }[column]
    name = "source_uri" if column == "path" else column
    imported(made, table(tmp_path, f"label;{name};reviewer", f"fake;{cell};ann"))
    (row,) = standing_answers(made.lake).collect().rows(named=True)
    assert (row["image_id"], row["label"], row["origin"], row["kind"]) == (
        made.ids["3.jpg"],
        "fake",
        "import",
        "import",
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_and_encodings_of_spreadsheets_are_read(made, tmp_path, delimiter, encoding):
    """What Excel saves in its four ways has the same answer."""
    rows = [("image_id", "label", "reviewer", "note"), (made.ids["0.jpg"], "real", "Zoë", "für é")]
    lines = [delimiter.join(row) for row in rows]
    imported(made, table(tmp_path, *lines, end="\r\n", encoding=encoding))
    (row,) = standing_answers(made.lake).collect().rows(named=True)
    assert (row["reviewer"], row["note"]) == ("Zoë", "für é")


def test_a_row_without_a_label_is_no_answer(made, tmp_path):
    """A list of images that was filled in half way brings the half that was filled in."""
    ids = list(made.ids.values())
    file = table(tmp_path, "image_id,label,reviewer", f"{ids[0]},real,ann", f"{ids[1]},,")
    made_import = imported(made, file)
    assert (len(made_import.answers), dict(made_import.left_out)) == (1, {"without a label": 1})


def test_a_reviewer_for_all_rows_may_be_named_beside_the_file(made, tmp_path):
    """Rows that name their reviewer keep the name."""
    ids = list(made.ids.values())
    file = table(tmp_path, "image_id,label,reviewer", f"{ids[0]},real,", f"{ids[1]},fake,bo")
    import_answers(made.lake, file, reader=Reader(reviewer="ann"))
    rows = standing_answers(made.lake).select("image_id", "reviewer").collect().rows()
    assert dict(rows) == {ids[0]: "ann", ids[1]: "bo"}


def test_an_image_that_is_unknown_stops_the_import_unless_it_is_left_out(made, tmp_path):
    """The message has line and image; nothing is recorded. With skipping, the others are."""
    known = made.ids["0.jpg"]
    file = table(tmp_path, "image_id,label,reviewer", f"{known},real,ann", f"{'e' * 64},real,ann")
    with pytest.raises(InputError, match=rf"1 of 2 answers .* line 3: {'e' * 64}; --skip-unknown"):
        imported(made, file)
    assert said(made.lake) == []
    made_import = imported(made, file, skip_unknown=True)
    assert len(made_import.answers) == 1
    assert made_import.unknown == [f"line 3: {'e' * 64}"]


def row_of(made, **changes):
    cells = dict.fromkeys(COLUMNS, "") | {"image_id": made.ids["0.jpg"], "label": "real"}
    cells |= {"reviewer": "ann"} | changes
    return ",".join(cells.values())


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"label": "mabye"}, "line 2: label 'mabye' is unknown; allowed: real, fake, laundered"),
        ({"image_id": "12ab"}, "line 2: image id '12ab' is not an id of 64 hex digits"),
        ({"image_id": ""}, "line 2: no image is named; fill one of image_id, sha256, source_uri"),
        ({"reviewer": ""}, "line 2: no reviewer is named"),
        ({"reviewer": "a" * 10_000}, "line 2: the reviewer's name has 10,000 characters"),
        ({"reason": "ugly"}, "line 2: reason 'ugly' is unknown; allowed: visible_artefacts"),
        ({"reviewed_at": "02.03.26"}, "line 2: time '02.03.26' is not in ISO 8601"),
        ({"answer_id": "7"}, "line 2: answer_id '7' is not an id of an answer"),
    ],
)
def test_a_defect_of_a_row_is_named_with_its_line(made, tmp_path, changes, seen):
    """One row is wrong, so none is recorded."""
    good = row_of(made, image_id=made.ids["1.jpg"])
    file = table(tmp_path, ",".join(COLUMNS), row_of(made, **changes), good)
    with pytest.raises(InputError) as caught:
        imported(made, file)
    assert seen in str(caught.value)
    assert "nothing was recorded" in str(caught.value)
    assert said(made.lake) == []


@pytest.mark.parametrize(
    ("head", "seen"),
    [
        ("image_id,label,reviewer,lable", "unknown columns 'lable'; did you mean label?"),
        ("image_id,label,a,b", "unknown columns 'a', 'b'"),
        ("image_id,reviewer", "needs the column label and one of"),
        ("label,reviewer", "needs the column label and one of"),
        ("image_id,label,label", "has the column label twice"),
    ],
)
def test_columns_that_are_unknown_missing_or_twice_are_refused_by_name(made, tmp_path, head, seen):
    """A table that is not one of answers is refused before its rows are read."""
    with pytest.raises(InputError, match=seen):
        imported(made, table(tmp_path, head, "x"))


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ('{0},"real,ann', "line 4: a quote is not closed"),
        ('{0},"real"?,ann', "line 4: a quote is not closed, or text follows it"),
        ("{0},real", "line 4: 2 cells where the header has 3"),
        ("{0},real,ann,more", "line 4: 4 cells where the header has 3"),
    ],
)
def test_a_row_that_is_no_row_is_named_with_its_first_line(made, tmp_path, row, seen):
    """After a note of two lines, which is one row."""
    head, good = "image_id,label,reviewer", f'{made.ids["1.jpg"]},real,"a\nb"'
    file = table(tmp_path, head, good, row.format(made.ids["0.jpg"]))
    with pytest.raises(InputError, match=seen):
        imported(made, file)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_that_was_cut_off_changes_nothing(answered, other, tmp_path, kind):
    """Wherever the file ends inside its last row, the import is refused and says where."""
    whole = tmp_path / f"whole.{kind}"
    write_answers(standing_answers(answered.lake).collect(), whole, kind=kind)
    raw = whole.read_bytes()
    last_row = raw.rstrip(b"\n").rfind(b"\n") + 1
    file = tmp_path / f"cut.{kind}"
    for end in range(last_row + 2, len(raw) - 2, 7):
        file.write_bytes(raw[:end])
        with pytest.raises(InputError, match="nothing was recorded"):
            imported(other, file)
    assert said(other.lake) == []


def test_an_id_with_other_content_is_refused_with_the_way_to_correct(answered, tmp_path):
    """A label changed in an exported file must not pass for the answer that was given."""
    file = tmp_path / "answers.csv"
    write_answers(standing_answers(answered.lake).collect(), file, kind="csv")
    file.write_text(file.read_text().replace('"laundered"', '"real"'))
    with pytest.raises(InputError, match=r"other content \(label\); to record a correction, empty"):
        imported(answered, file)


def test_an_answer_that_was_taken_back_stays_so(answered, tmp_path):
    """An older export does not bring back what its reviewer has withdrawn since."""
    file = tmp_path / "answers.csv"
    rows = standing_answers(answered.lake).collect()
    write_answers(rows, file, kind="csv")
    with Journal(answered.lake) as journal:
        journal.record([withdrawal(rows.row(0, named=True), origin="page")])
    assert imported(answered, file).n_known == len(NOTES)
    assert standing_answers(answered.lake).collect().height == len(NOTES) - 1


def test_answers_of_older_versions_have_no_id_and_are_known_by_what_they_say(made, tmp_path):
    """The export of a lake of 0.2.0 has no ids; the same rows are recorded once."""
    lakes.reviewed(made, "0.jpg", "fake")
    file = tmp_path / "answers.csv"
    write_answers(standing_answers(made.lake).collect(), file, kind="csv")
    assert imported(made, file).n_known == 1


def test_a_check_records_nothing(made, tmp_path):
    """The dry run counts what would be recorded."""
    file = table(tmp_path, "image_id,label,reviewer", f"{made.ids['0.jpg']},real,ann")
    assert len(check_import(made.lake, file, reader=Reader()).answers) == 1
    assert said(made.lake) == []


@pytest.mark.parametrize(
    ("name", "content", "seen"),
    [
        ("a.csv", b"", "empty"),
        ("a.json", b" ", "empty"),
        ("a.json", b'[{"image_id": "', "cut off"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "not a list but PNG"),
        ("a.xlsx", b"x", "ends in .xlsx; allowed"),
        ("a.json", b"[1, 2]", "entry 1: 1 is not an object"),
        ("a.json", b'[{"label": "real", "who": "x"}]', "key 'who' is unknown"),
    ],
)
def test_files_that_hold_no_answers_are_refused(made, tmp_path, name, content, seen):
    """Each says what it is instead."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=seen):
        imported(made, file)


def test_a_file_that_is_missing_or_a_folder_is_refused(made, tmp_path):
    """The message names the path."""
    with pytest.raises(InputError, match=r"x\.csv does not exist"):
        imported(made, tmp_path / "x.csv")
    with pytest.raises(InputError, match="is a folder"):
        imported(made, tmp_path)


def test_a_list_of_objects_is_read_as_well(made, tmp_path):
    """JSON may be one array instead of one object per line."""
    file = tmp_path / "answers.json"
    file.write_text(json.dumps([{"image_id": made.ids["0.jpg"], "label": 1, "reviewer": "ann"}]))
    imported(made, file)
    assert standing_answers(made.lake).collect()["label"].to_list() == ["fake"]
