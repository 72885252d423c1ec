"""Images of a lake as they are known: filtered, ordered, counted, and in parts."""

from datetime import UTC, datetime, timedelta

import lakes
import polars as pl
import pytest
from lakes import Shot

from assay.data.durations import since, span, span_s
from assay.data.errors import ConfigError, InputError
from assay.data.store.lake import Lake
from assay.tasks.browse.filters import Filters, check_reasons, score_range
from assay.tasks.browse.image_table import draw_images, images_json
from assay.tasks.browse.images import COLUMNS, list_images, parts_of_images, scope_of

SHOTS = [
    Shot(name="a.jpg", prob=0.05, seed=1, domain="news", label="real"),
    Shot(name="b.jpg", prob=0.4, seed=2, domain="art", label="fake"),
    Shot(name="c.jpg", prob=0.9, seed=3, domain="art"),
    Shot(name="d.jpg", prob=0.99, seed=4),
    Shot(name="e.jpg", prob=None, seed=5, label="laundered"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five images in the order in which they were seen; the last could not be scored."""
    return lakes.lake_of(tmp_path_factory.mktemp("images") / "lake", SHOTS)


def names(made, rows):
    """Names of the shots of rows, in order."""
    by_id = {image_id: name[0] for name, image_id in made.ids.items()}
    return "".join(by_id[row["image_id"]] for row in rows)


def listed(made, limit=50, sort="seen", run=None, **filters):
    """Rows that a list has."""
    found = list_images(
        made.lake, scope_of(made.lake, run), Filters(**filters), sort=sort, limit=limit
    )
    return names(made, found.rows), found.n_matching


def test_the_scores_decide(made):
    """What the tests below rely on: the default policy's bands."""
    scope = scope_of(made.lake)
    rows = list_images(made.lake, scope, Filters(), limit=9).rows
    decisions = {names(made, [row]): row["decision"] for row in rows}
    assert decisions == {"a": "clear", "b": "review", "c": "flag", "d": "flag", "e": "review"}


@pytest.mark.parametrize(
    ("filters", "fitting"),
    [
        ({}, "edcba"),
        ({"decisions": ("flag",)}, "dc"),
        ({"decisions": ("clear", "review")}, "eba"),
        ({"decisions": ("none",)}, ""),
        ({"reasons": ("not_scored",)}, "e"),
        ({"reasons": ("not_scored", "below_review_threshold")}, "ea"),
        ({"domains": ("art",)}, "cb"),
        ({"domains": ("none",)}, "ed"),
        ({"domains": ("none", "news")}, "eda"),
        ({"labels": ("fake", "laundered")}, "eb"),
        ({"labels": ("none",)}, "dc"),
        ({"score": (0.4, 0.9)}, "cb"),
        ({"score": (0.0, 1.0)}, "dcba"),
        ({"since": lakes.START + timedelta(seconds=3)}, "ed"),
        ({"decisions": ("flag",), "domains": ("art",), "score": (0.5, 1.0)}, "c"),
        ({"decisions": ("clear",), "labels": ("fake",)}, ""),
    ],
)
def test_images_are_chosen_by_what_is_known_of_them(made, filters, fitting):
    """All conditions hold of an image, of several values of one any."""
    assert listed(made, **filters) == (fitting, len(fitting))


@pytest.mark.parametrize(("sort", "order"), [("seen", "edcba"), ("score", "dcbae")])
def test_images_are_ordered(made, sort, order):
    """The latest seen first, or the highest score first and those without one last."""
    assert listed(made, sort=sort)[0] == order
    by_id = "".join(sorted("abcde", key=lambda name: made.ids[f"{name}.jpg"]))
    assert listed(made, sort="id")[0] == by_id


def test_a_limit_cuts_the_rows_and_not_the_count(made):
    """Two of five are given, and that there are five."""
    assert listed(made, limit=2) == ("ed", 5)


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 100])
def test_parts_are_the_whole_in_order_of_ids(made, rows_at_a_time):
    """However many parts there are, each image comes once, with every column."""
    parts = list(
        parts_of_images(made.lake, scope_of(made.lake), Filters(), rows_at_a_time=rows_at_a_time)
    )
    assert len(parts) == -(-5 // rows_at_a_time)
    ids = [image_id for part in parts for image_id in part["image_id"]]
    assert ids == sorted(made.ids.values())
    assert all(part.columns == list(COLUMNS) for part in parts)


def test_a_run_has_the_images_of_its_batch(tmp_path):
    """An image that only another batch has is in the lake, and not in the run."""
    two = lakes.lake_of(tmp_path / "lake", SHOTS[:2])
    for table in ("images", "sightings"):
        rows = two.lake.scan(table).collect().head(1)
        other = rows.with_columns(image_id=pl.lit("0" * 64), batch_id=pl.lit("other"))
        assert two.lake.append(table, other, txn=f"other:{table}")
    two.ids["x.jpg"] = "0" * 64
    assert listed(two, sort="id")[1] == 3
    assert listed(two, run=two.run_id) == ("ba", 2)
    assert listed(two, run="latest") == ("ba", 2)
    with pytest.raises(InputError, match=f"no run nope in .* {two.run_id}"):
        scope_of(two.lake, "nope")


def test_an_empty_lake_says_what_to_do(tmp_path):
    """The command that fills it; and nothing is scored."""
    lake = Lake(tmp_path / "lake")
    scope = scope_of(lake)
    found = list_images(lake, scope, Filters(), limit=9)
    assert draw_images(lake, scope, Filters(), found, width=80) == (
        f"{lake.uri} has no images yet\nnext\n  assay moderate SOURCE --lake {lake.uri}"
    )
    assert scope.describe() == "nothing is scored yet"


def test_a_table_says_how_many_there_are(made):
    """A line per image, how many of how many, and whose scores these are."""
    scope = scope_of(made.lake)
    found = list_images(made.lake, scope, Filters(), sort="score", limit=2)
    lines = draw_images(made.lake, scope, Filters(), found, width=None).splitlines()
    assert lines[1].split()[:4] == [
        made.ids["d.jpg"][:12],
        "flag",
        "0.990",
        "at_or_above_flag_threshold",
    ]
    assert lines[3].startswith("2 of 5 images; --limit shows more")
    assert lines[4].startswith("scores of mini@0123456789ab in fp32, decisions by policy default@")
    nothing = Filters(labels=("real",), decisions=("flag",))
    none = list_images(made.lake, scope, nothing, limit=2)
    assert draw_images(made.lake, scope, nothing, none, width=None) == (
        f"no image of {made.lake.uri} matches these filters; the lake has 5 images"
    )


def test_an_unknown_domain_is_answered_with_those_there_are(made):
    """A misspelt domain is none of them."""
    scope, filters = scope_of(made.lake), Filters(domains=("nwes",))
    none = list_images(made.lake, scope, filters, limit=2)
    drawn = draw_images(made.lake, scope, filters, none, width=None)
    assert drawn.endswith("matches these filters; the lake has 5 images; domains: art, news")


def test_plain_values_name_key_policy_and_total(made):
    """What a program reads."""
    scope = scope_of(made.lake)
    found = list_images(made.lake, scope, Filters(), limit=1)
    values = images_json(made.lake, scope, found, limit=1)
    assert values["key"]["detector"] == "mini@0123456789ab"
    assert (values["total"], values["limit"], values["run_id"]) == (5, 1, None)
    row = values["images"][0]
    assert list(row) == list(COLUMNS)
    assert row["image_id"] == made.ids["e.jpg"]
    assert row["seen_at"] == "2026-03-01T12:00:04+00:00"


@pytest.mark.parametrize(
    ("text", "ends"), [("0.4..0.9", (0.4, 0.9)), ("0.9..", (0.9, 1.0)), ("..0.1", (0.0, 0.1))]
)
def test_a_range_of_scores_has_two_ends(text, ends):
    """One that is left out is that of the scale."""
    assert score_range(text) == ends


@pytest.mark.parametrize("text", ["0.5", "..", "", "0.9..0.4", "0..2", "-1..1", "a..b", "nan..1"])
def test_what_is_no_range_is_refused(text):
    """The message says what was given and what is allowed."""
    with pytest.raises(ConfigError, match=r"allowed: a range within 0 and 1, such as 0\.4\.\.0\.9"):
        score_range(text)


def test_an_unknown_reason_is_refused():
    """The nearest word stands in the message."""
    assert check_reasons(["not_scored"]) == ("not_scored",)
    with pytest.raises(ConfigError, match="'not_score'; did you mean not_scored"):
        check_reasons(["not_score"])


NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("7d", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("90m", datetime(2026, 3, 8, 10, 30, tzinfo=UTC)),
        ("1.5H", datetime(2026, 3, 8, 10, 30, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_span_or_a_date(text, at):
    """Counted back from now, or as it stands, in UTC."""
    assert since("--since", text, now=NOW) == at


@pytest.mark.parametrize("text", ["", "7", "yesterday", "7 d", "2026-13-01", "9999999w"])
def test_what_is_no_time_is_refused(text):
    """The message names the option and what is allowed."""
    with pytest.raises(ConfigError, match=r"--since is .*; allowed: a span such as 7d, or a date"):
        since("--since", text, now=NOW)


def test_a_span_is_in_seconds():
    """And anything else names the units."""
    assert span_s("--older-than", "2w") == 14 * 86_400
    assert [span(s) for s in (86_400, 21_600, 90, 0.5, 60)] == ["1d", "6h", "90s", "0.5s", "1m"]
    with pytest.raises(
        ConfigError, match="--older-than is '2 weeks'; allowed: a number and a unit"
    ):
        span_s("--older-than", "2 weeks")
