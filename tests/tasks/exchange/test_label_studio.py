"""Label Studio: tasks out, annotations back, in its published formats.

`TASK` has the keys of the example in Label Studio's documentation, "Label Studio JSON format of
annotated tasks" (https://labelstud.io/guide/task_format.html), and of the exports in the tests of
its converter (HumanSignal/label-studio-converter, `tests/data/test_export_json_min/data.json` and
`tests/data/test_export_csv/csv_test.json`). `MINIFIED` and `TABLE` are what the converter of
label-studio-sdk 2.1.2 writes for these annotations. `CHANGED_PREDICTION` was exported by Label
Studio 1.23.2 after a task of assay was labelled in its browser.
"""

import base64
import copy
import hashlib
import json
from datetime import UTC, datetime
from xml.etree import ElementTree

import lakes
import pytest
from lakes import Shot

from assay.data.errors import InputError
from assay.data.vocabulary import Label, ReviewReason
from assay.tasks.browse.filters import Filters
from assay.tasks.browse.images import parts_of_images, scope_of
from assay.tasks.exchange.import_answers import import_answers
from assay.tasks.exchange.label_studio_interface import interface_xml
from assay.tasks.exchange.label_studio_tasks import write_tasks
from assay.tasks.exchange.label_studio_values import Reader
from assay.tasks.review.answers import standing_answers

SHOTS = [
    Shot(name="flagged.jpg", seed=1, prob=0.99, domain="art"),
    Shot(name="doubtful.png", seed=2, prob=0.4, format="PNG"),
    Shot(name="cleared.webp", seed=3, prob=0.001, format="WEBP"),
]
TIME = "2025-09-09T07:18:33.241370Z"
ANNOTATION = {
    "id": 12,
    "completed_by": 1,
    "result": [
        {
            "id": "BSUQwmhPb1",
            "type": "choices",
            "value": {"choices": ["fake"]},
            "origin": "manual",
            "to_name": "image",
            "from_name": "label",
        },
        {
            "id": "R78cQXkJwM",
            "type": "choices",
            "value": {"choices": ["light_or_texture"]},
            "origin": "manual",
            "to_name": "image",
            "from_name": "reason",
        },
        {
            "id": "9Zkmdi01OC",
            "type": "textarea",
            "value": {"text": ["sky, is odd", "hands too"]},
            "origin": "manual",
            "to_name": "image",
            "from_name": "note",
        },
    ],
    "was_cancelled": False,
    "ground_truth": False,
    "created_at": "2025-09-09T07:17:33.241355Z",
    "updated_at": TIME,
    "draft_created_at": "2025-09-09T07:16:37.026663Z",
    "lead_time": 43.107,
    "prediction": {},
    "result_count": 3,
    "unique_id": "91ed19be-a230-4443-a0d8-077aca41c866",
    "import_id": None,
    "last_action": None,
    "task": 10,
    "project": 1,
    "updated_by": 1,
    "parent_prediction": None,
    "parent_annotation": None,
    "last_created_by": None,
}
TASK = {
    "id": 10,
    "annotations": [ANNOTATION],
    "file_upload": "tasks.json",
    "drafts": [],
    "predictions": [
        {
            "id": 1,
            "model_version": "mini",
            "created_ago": "6 days, 21 hours",
            "result": [
                {
                    "id": "assay-1",
                    "type": "choices",
                    "value": {"choices": ["real"]},
                    "to_name": "image",
                    "from_name": "label",
                }
            ],
            "score": 0.72,
            "cluster": None,
            "neighbors": None,
            "mislabeling": 0.0,
            "task": 10,
        }
    ],
    "data": {"image": "/data/upload/1/ab-x.jpg", "image_id": ""},
    "meta": {},
    "created_at": "2025-09-08T06:57:48.712518Z",
    "updated_at": "2025-09-09T07:17:33.457843Z",
    "inner_id": 1,
    "total_annotations": 1,
    "cancelled_annotations": 0,
    "total_predictions": 1,
    "comment_count": 0,
    "unresolved_comment_count": 0,
    "last_comment_updated_at": None,
    "project": 1,
    "updated_by": 1,
    "comment_authors": [],
}
CHANGED_PREDICTION = [
    {
        "value": {"choices": ["laundered"]},
        "id": "assay-0962a2dc534a469a0dff2b12",
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "origin": "prediction-changed",
    },
    {
        "value": {"choices": ["light_or_texture"]},
        "id": "SLHdcdx_z7",
        "from_name": "reason",
        "to_name": "image",
        "type": "choices",
        "origin": "manual",
    },
]
MINIFIED = {
    "image": "/data/upload/1/ab-x.jpg",
    "image_id": "",
    "reasons": ["in_review_band"],
    "id": 10,
    "label": "fake",
    "reason": "light_or_texture",
    "note": {"text": ["sky, is odd", "hands too"]},
    "annotator": 1,
    "annotation_id": 12,
    "created_at": "2025-09-09T07:17:33.241355Z",
    "updated_at": TIME,
    "lead_time": 43.107,
}
TABLE = (
    '"annotation_id","annotator","created_at","id","image","image_id","label","lead_time","note",'
    '"reason","reasons","updated_at"\n'
    '12,"1","2025-09-09T07:17:33.241355Z",10,"/data/upload/1/ab-x.jpg","{image_id}","fake",43.107,'
    '"{{""text"":[""sky, is odd"",""hands too""]}}","light_or_texture","[""in_review_band""]",'
    '"2025-09-09T07:18:33.241370Z"\n'
)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return lakes.lake_of(tmp_path_factory.mktemp("template") / "lake", SHOTS)


@pytest.fixture
def made(template, tmp_path):
    return lakes.copied(template, tmp_path / "lake")


def tasks_of(made, tmp_path, **settings):
    file = tmp_path / "tasks.json"
    parts = parts_of_images(made.lake, scope_of(made.lake), Filters())
    written = write_tasks(made.lake, parts, file, **{"image_as": "data"} | settings)
    by_id = {task["data"]["image_id"]: task for task in json.loads(file.read_text())}
    return {name: by_id[image_id] for name, image_id in made.ids.items()}, written


def task(made, name="flagged.jpg", **changes):
    """Return a task about an image, with changes of its only annotation."""
    found = copy.deepcopy(TASK)
    found["data"]["image_id"] = made.ids[name]
    found["annotations"][0] |= changes
    return found


def choice(value, control="label", kind="choices"):
    return {"from_name": control, "to_name": "image", "type": kind, "value": {kind: value}}


def imported(made, tmp_path, content, name="export.json", reader=None):
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return import_answers(made.lake, file, reader=reader or Reader())


def answers(made):
    names = ("image_id", "label", "reviewer", "reason", "note", "seconds", "reviewed_at")
    return standing_answers(made.lake).sort("image_id", "reviewer").select(names).collect().rows()


def labels(made):
    names = {image_id: name for name, image_id in made.ids.items()}
    return {(names[row[0]], row[2]): row[1] for row in answers(made)}


def test_tasks_hold_the_image_its_score_and_the_decision_as_a_choice(made, tmp_path):
    """A flag is fake, a clear is real; an image to review has a score and no chosen label."""
    tasks, written = tasks_of(made, tmp_path)
    assert (written.tasks, written.predictions) == (3, 3)
    raws = dict(made.lake.images(list(made.ids.values())))
    for name, kind in (("flagged.jpg", "jpeg"), ("doubtful.png", "png"), ("cleared.webp", "webp")):
        head, _, encoded = tasks[name]["data"]["image"].partition(",")
        assert head == f"data:image/{kind};base64"
        assert base64.b64decode(encoded) == raws[made.ids[name]]
    (prediction,) = tasks["flagged.jpg"]["predictions"]
    assert prediction["score"] == tasks["flagged.jpg"]["data"]["prob_fake"] == 0.99
    assert prediction["model_version"].startswith("mini@0123456789ab fp32 default@")
    (chosen,) = prediction["result"]
    assert chosen["value"] == {"choices": ["fake"]}
    assert (chosen["from_name"], chosen["to_name"]) == ("label", "image")
    assert tasks["cleared.webp"]["predictions"][0]["result"][0]["value"] == {"choices": ["real"]}
    assert tasks["doubtful.png"]["predictions"] == [
        {"model_version": prediction["model_version"], "score": 0.4, "result": []}
    ]


def test_tasks_for_blind_review_say_nothing_of_the_detector(made, tmp_path):
    """Neither score nor decision is anywhere in the file."""
    tasks, written = tasks_of(made, tmp_path, has_predictions=False)
    assert written.predictions == 0
    text = json.dumps(tasks)
    assert not any(word in text for word in ("0.99", "flag_threshold", "mini@", "predictions"))


def test_images_may_be_files_beside_the_tasks(made, tmp_path):
    """Label Studio serves them from their folder, and their names are their hashes."""
    tasks, written = tasks_of(made, tmp_path, image_as="files")
    image_id = made.ids["doubtful.png"]
    assert tasks["doubtful.png"]["data"]["image"] == (
        f"/data/local-files/?d=tasks-images/{image_id}.png"
    )
    files = {file.name: hashlib.sha256(file.read_bytes()) for file in written.folder.iterdir()}
    assert {name.partition(".")[0] for name in files} == set(made.ids.values())
    assert all(name.startswith(digest.hexdigest()) for name, digest in files.items())


def test_an_image_without_an_address_on_the_web_is_not_exported_by_address(made, tmp_path):
    """A path of this machine would be a broken image there; no file is left behind."""
    with pytest.raises(InputError, match=r"which Label Studio cannot open; export with --image-as"):
        tasks_of(made, tmp_path, image_as="uri")
    assert not (tmp_path / "tasks.json").exists()


def test_the_interface_has_every_label_and_reason_by_its_word():
    """Annotations then have the words of assay, whatever text people see."""
    view = ElementTree.fromstring(interface_xml())
    words = {
        part.get("name"): [choice.get("alias") for choice in part] for part in view.iter("Choices")
    }
    assert words == {"label": list(Label), "reason": list(ReviewReason)}
    assert view.find("Image").get("value") == "$image"


def test_annotations_of_exported_tasks_come_back(made, tmp_path):
    """Out with a hash, annotated, back by that hash: labels, reasons, notes, times and seconds."""
    tasks, _ = tasks_of(made, tmp_path)
    exported = [
        tasks[name] | {"id": number, "annotations": [ANNOTATION | {"id": number}]}
        for number, name in enumerate(made.ids)
    ]
    done = imported(made, tmp_path, exported)
    assert (done.format, len(done.answers)) == ("Label Studio JSON", 3)
    assert {row[0] for row in answers(made)} == set(made.ids.values())
    for _, label, reviewer, reason, note, seconds, time in answers(made):
        assert (label, reviewer) == ("fake", "label-studio user 1")
        assert (reason, note) == ("light_or_texture", "sky, is odd\nhands too")
        assert seconds == pytest.approx(43.107)
        assert time == datetime(2025, 9, 9, 7, 18, 33, 241370, tzinfo=UTC)


def test_the_three_formats_of_one_annotation_are_one_answer(made, tmp_path):
    """JSON, JSON_MIN and CSV of the same export record it once."""
    image_id = made.ids["flagged.jpg"]
    assert len(imported(made, tmp_path, [task(made)]).answers) == 1
    minified = imported(made, tmp_path, [MINIFIED | {"image_id": image_id}])
    assert (minified.format, minified.n_known) == ("Label Studio JSON_MIN", 1)
    table = imported(made, tmp_path, TABLE.format(image_id=image_id), "export.csv")
    assert (table.format, table.n_known) == ("Label Studio CSV", 1)
    assert len(answers(made)) == 1


def test_an_annotation_that_was_changed_since_is_a_new_answer(made, tmp_path):
    """The later time of the change counts, and the export before it changes nothing any more."""
    later = {"updated_at": "2025-09-10T00:00:00Z", "result": [choice(["real"])]}
    imported(made, tmp_path, [task(made)])
    imported(made, tmp_path, [task(made, **later)])
    imported(made, tmp_path, [task(made)])
    assert labels(made) == {("flagged.jpg", "label-studio user 1"): "real"}


def test_several_annotators_of_a_task_are_several_reviewers(made, tmp_path):
    """Users are numbers, named or not, objects with an e-mail address, or with a name."""
    found = task(made)
    for user in (
        {"id": 2, "email": "bo@example.com", "first_name": "Bo", "last_name": ""},
        {"id": 3, "email": "", "first_name": "Cy", "last_name": "Day"},
        {"id": 4},
    ):
        found["annotations"].append(ANNOTATION | {"completed_by": user})
    reader = Reader(annotators={"1": "ann"})
    imported(made, tmp_path, [found], reader=reader)
    assert {who for _, who in labels(made)} == {
        "ann",
        "bo@example.com",
        "Cy Day",
        "label-studio user 4",
    }


def test_skipped_annotations_drafts_and_predictions_are_no_answers(made, tmp_path):
    """They are counted by the reason for which they were left out."""
    skipped = task(made, was_cancelled=True)
    legacy = task(made) | {"completions": [ANNOTATION | {"skipped": True}]}
    del legacy["annotations"]
    empty = task(made) | {"annotations": [], "drafts": [ANNOTATION]}
    unanswered = task(made, result=[choice(["other"], "reason")])
    done = imported(made, tmp_path, [skipped, legacy, empty, unanswered])
    assert done.answers == []
    assert dict(done.left_out) == {
        "cancelled in Label Studio": 2,
        "tasks without an annotation": 1,
        "without a label": 1,
    }


@pytest.mark.parametrize(
    ("result", "label"),
    [
        (CHANGED_PREDICTION, "laundered"),
        ([choice(["Fake"])], "fake"),
        ([choice(["laundered: a photo that was altered afterwards"])], "laundered"),
        ([choice(["AI-generated"], "origin")], "fake"),
        ([choice(["real"], "verdict"), choice(["blurry"], "quality")], "real"),
        ([choice(["real"], "label"), choice(["fake"], "model says")], "real"),
    ],
)
def test_labels_are_found_under_other_names_and_spellings(made, tmp_path, result, label):
    """The control named label counts, or else the only one whose values are labels."""
    imported(made, tmp_path, [task(made, result=result)])
    assert set(labels(made).values()) == {label}


@pytest.mark.parametrize(("stars", "label"), [(1, "real"), (5, "fake")])
def test_ratings_are_labels_by_a_map(made, tmp_path, stars, label):
    """A project of stars: few are real, many are fake."""
    reader = Reader(control="stars", labels={"1": "real", "5": "fake"})
    result = [choice(stars, "stars", "rating"), choice(["unsure"], "label")]
    imported(made, tmp_path, [task(made, result=result)], reader=reader)
    assert set(labels(made).values()) == {label}
    minified = MINIFIED | {"image_id": made.ids["flagged.jpg"], "stars": [{"rating": stars}]}
    assert imported(made, tmp_path, [minified], reader=reader).unknown == []
    assert set(labels(made).values()) == {label}


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"result": [choice(["real", "fake"])]}, "several labels are chosen: fake, real"),
        ({"result": [choice(["cat"])]}, "label 'cat' is unknown"),
        ({"result": [choice(["cat"], "animal")]}, "no control has a label among animal"),
        (
            {"result": [choice(["real"], "a"), choice(["real"], "b")]},
            "several controls have a label among a, b; name it with --control",
        ),
        ({"completed_by": None}, "no annotator is named; pass --reviewer"),
        ({"updated_at": "yesterday"}, "time 'yesterday' is not in ISO 8601"),
    ],
)
def test_an_annotation_that_cannot_be_read_is_named_and_nothing_is_recorded(
    made, tmp_path, changes, seen
):
    """The place is that of task and annotation."""
    wrong = task(made, "cleared.webp", **changes)
    with pytest.raises(InputError) as caught:
        imported(made, tmp_path, [task(made), wrong])
    assert "entry 2 (task 10), annotation 1: " in str(caught.value)
    assert seen in str(caught.value)
    assert answers(made) == []


def test_reasons_of_other_projects_are_kept_in_the_note(made, tmp_path):
    """Nothing that people said is lost."""
    result = [choice(["fake"]), choice(["too many fingers"], "reason")]
    imported(made, tmp_path, [task(made, result=result)])
    assert answers(made)[0][3:5] == (None, "reason: too many fingers")


@pytest.mark.parametrize("how", ["data", "meta", "url", "data uri", "source", "root", "local"])
def test_images_are_found_by_the_hash_of_their_content(made, tmp_path, how):
    """By id in data or meta, a file name that is the hash, the bytes, an address, or the file."""
    image_id = made.ids["flagged.jpg"]
    raw = made.lake.image(image_id)
    root = tmp_path / "served"
    root.mkdir()
    (root / "x.jpg").write_bytes(raw)
    found = task(made)
    found["data"] = {
        "data": {"image": "/data/upload/1/x.jpg", "image_id": image_id},
        "meta": {"image": "/data/upload/1/x.jpg"},
        "url": {"image": f"/data/upload/1/ab12-{image_id}.jpg"},
        "data uri": {"photo": "data:image/jpeg;base64," + base64.b64encode(raw).decode()},
        "source": {"image": "/data/upload/1/x.jpg", "source_uri": "file:///pictures/flagged.jpg"},
        "root": {"image": "/data/upload/1/x.jpg"},
        "local": {"image": "/data/local-files/?d=x.jpg"},
    }[how]
    found["meta"] = {"image_id": image_id} if how == "meta" else {}
    imported(made, tmp_path, [found], reader=Reader(root=root))
    assert list(labels(made)) == [("flagged.jpg", "label-studio user 1")]


@pytest.mark.parametrize("image", ["/data/upload/1/x.jpg", "/data/local-files/?d=../secret"])
def test_a_path_on_the_machine_of_label_studio_names_no_image(made, tmp_path, image):
    """Nor does a path that leaves the folder of the files."""
    (tmp_path / "secret").write_bytes(made.lake.image(made.ids["flagged.jpg"]))
    (tmp_path / "served").mkdir()
    found = task(made)
    found["data"] = {"image": image}
    with pytest.raises(InputError, match="is a path on the machine of Label Studio"):
        imported(made, tmp_path, [found], reader=Reader(root=tmp_path / "served"))


def test_an_export_that_was_cut_off_changes_nothing(made, tmp_path):
    """An array that is not closed has lost tasks, even if it ends between two."""
    whole = json.dumps([task(made), task(made, "cleared.webp")])
    between = json.dumps([task(made)])[:-1] + ","
    for text in (whole[:-1], whole[: len(whole) // 2], between):
        with pytest.raises(InputError, match="cut off: its list is not closed"):
            imported(made, tmp_path, text)
    assert answers(made) == []


def test_a_table_without_the_control_of_the_label_says_which_columns_it_has(made, tmp_path):
    """The reader names the control instead."""
    row = MINIFIED | {"image_id": made.ids["flagged.jpg"], "verdict": "real"}
    del row["label"]
    with pytest.raises(InputError, match=r"no 'label' among .*verdict; name the control with"):
        imported(made, tmp_path, [row])
    imported(made, tmp_path, [row], reader=Reader(control="verdict"))
    assert set(labels(made).values()) == {"real"}
