"""Caps, a balance and licence flags leave out images by a seeded draw, and card and lock say so."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import Made, Shot, copied, lake_of, synthesised

from assay.data.errors import ConfigError, InputError
from assay.flows.cli import main
from assay.flows.dry_run.datasets import publish_effects
from assay.tasks.publish.draw import full_caps, in_draw_order, is_balanced
from assay.tasks.publish.limits import LeftOut, Limits, flagged_ids, parse_cap
from assay.tasks.publish.pinned import pin
from assay.tasks.publish.publish import PublishResult, publish


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Twelve reals of two domains, four fakes of one, two images without a label."""
    labels = ["real"] * 12 + ["fake"] * 4 + [None] * 2
    shots = [
        Shot(
            name=f"{'photos' if i < 8 else 'web'}/p{i}.jpg",
            seed=i,
            label=label,
            domain="news" if i % 2 else "art",
            size=(80, 64),
        )
        for i, label in enumerate(labels)
    ]
    return lake_of(tmp_path_factory.mktemp("made") / "lake", shots)


def rows_of(result: PublishResult) -> pl.DataFrame:
    return pl.concat(
        pl.read_parquet(f"{result.out}/{file}").with_columns(split=pl.lit(file[5:9]))
        for file in result.files
    )


def counts(result: PublishResult, column: str) -> dict[str, int]:
    return dict(rows_of(result)[column].value_counts().iter_rows())


def test_a_cap_holds_for_each_value_and_for_images_without_one(made, tmp_path):
    """At most three of each label; fewer of a rarer one. The card has the counts."""
    result = publish(made.lake, tmp_path / "out", cap={"label": 3})
    assert result.labels == {"fake": 3, "real": 3, "unlabelled": 2}
    why = "cap of 3 images per label"
    assert result.left_out == (LeftOut(why=why, images=10, labels={"fake": 1, "real": 9}),)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| {why} | 10 | fake 1, real 9 |" in card
    lock = json.loads((tmp_path / "out" / "VERSIONS.lock").read_text())
    assert lock["limits"]["cap"] == {"label": 3}
    assert lock["limits"]["left_out"][0]["images"] == 10


def test_several_caps_hold_together_and_nothing_more_could_be_added(made, tmp_path):
    """Every image that is left out has a value whose cap is full."""
    result = publish(made.lake, tmp_path / "out", cap={"label": 5, "source": 6}, format="parquet")
    sources = {made.ids[name]: name.partition("/")[0] for name in made.ids}
    labels = dict(rows_of(result).select("image_id", "label").iter_rows())
    n_per_label = {label: [*labels.values()].count(label) for label in ("real", "fake", None)}
    taken = [sources[image_id] for image_id in labels]
    n_per_source = {source: taken.count(source) for source in ("photos", "web")}
    assert max(n_per_label.values()) <= 5
    assert max(n_per_source.values()) <= 6
    for name, image_id in made.ids.items():
        number = int(name.partition("/p")[2][:-4])
        label = "real" if number < 12 else "fake" if number < 16 else None
        is_full = n_per_label[label] == 5 or n_per_source[sources[image_id]] == 6
        assert image_id in labels or is_full


def test_a_balance_takes_as_many_of_each_label_and_leaves_out_the_others(made, tmp_path):
    """The rarest label gives the number; images without a label belong to none."""
    result = publish(made.lake, tmp_path / "out", balance="label")
    assert result.labels == {"fake": 4, "real": 4}
    assert [(one.why, one.images) for one in result.left_out] == [
        ("no label to balance", 2),
        ("balance of 4 images per label", 8),
    ]
    domains = publish(made.lake, tmp_path / "more", balance="domain", cap={"domain": 7})
    assert counts(domains, "domain") == {"art": 7, "news": 7}


def test_a_draw_depends_on_the_seed_and_the_ids_alone(made, tmp_path):
    """The same seed draws the same images; without one that was not drawn it does so too."""
    ids = []
    for number, seed in enumerate((0, 0, 1)):
        result = publish(made.lake, tmp_path / str(number), balance="label", seed=seed)
        ids.append(set(rows_of(result)["image_id"]))
    assert ids[0] == ids[1] != ids[2]
    undrawn = next(one for one in made.ids.values() if one not in ids[0])
    where = f"image_id <> '{undrawn}'"
    result = publish(made.lake, tmp_path / "fewer", balance="label", where=where)
    assert set(rows_of(result)["image_id"]) == ids[0]


def test_a_made_image_is_drawn_with_its_parent():
    """Of 40 pairs, each a real and a fake, a cap of ten takes ten pairs; copies come last."""
    rows = pl.DataFrame(
        [
            {"image_id": f"{label}{i}{copy}", "group_id": f"g{i}", "label": label}
            for i in range(40)
            for label in ("real", "fake")
            for copy in ("", "-copy")
        ]
    )
    ordered = in_draw_order(rows, seed=3)
    kept = ordered.filter(full_caps(ordered, {"label": 10}).is_null())
    assert kept["group_id"].n_unique() == 10
    assert sorted(kept.group_by("group_id").len()["len"]) == [2] * 10
    all_but_one = ordered.filter(full_caps(ordered, {"label": 79}).is_null())
    assert all_but_one["group_id"].n_unique() == 40


@given(
    values=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=40),
    others=st.integers(1, 5),
    cap=st.integers(1, 8),
    seed=st.integers(0, 3),
)
def test_caps_are_kept_and_full_wherever_something_is_left_out(values, others, cap, seed):
    """For all values, caps and seeds, and in any order of the rows."""
    rows = pl.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(len(values))],
            "group_id": [f"g{n // 2}" for n in range(len(values))],
            "label": pl.Series(values, dtype=pl.String),
            "domain": [f"d{n % others}" for n in range(len(values))],
        }
    )
    ordered = in_draw_order(rows, seed=seed)
    assert ordered.equals(in_draw_order(rows.reverse(), seed=seed))
    why = full_caps(ordered, {"label": cap, "domain": 3})
    kept = ordered.filter(why.is_null())
    for column, limit in (("label", cap), ("domain", 3)):
        counted = dict(kept[column].value_counts().iter_rows())
        assert max(counted.values()) <= limit
        out = ordered.filter(why == column)[column].unique()
        assert all(counted[value] == limit for value in out)
    known = ordered.filter(pl.col("label").is_not_null())
    sizes = known.filter(is_balanced(known, "label"))["label"].value_counts()["count"]
    assert sizes.n_unique() <= 1


def test_the_split_of_a_drawn_group_is_as_likely_as_without_a_draw():
    """Of 4,000 groups the 400 drawn ones fall into train at the requested share."""
    from assay.tasks.publish.splits import assign_splits

    names = [f"g-{n:04x}" for n in range(4000)]
    rows = pl.DataFrame({"image_id": names, "group_id": names, "label": ["real"] * 4000})
    ordered = in_draw_order(rows, seed=0)
    splits = ordered.select(
        "group_id", assign_splits(ordered["group_id"], seed=0, fractions=(0.8, 0.1, 0.1))
    )
    first = splits.head(400)["split"]
    assert (first == "train").mean() == pytest.approx(0.8, abs=0.06)


def test_a_licence_flag_takes_what_was_made_from_its_images_too(made, tmp_path):
    """A laundered child of a flagged image has no flag of its own."""
    own = copied(made, tmp_path / "lake")
    flagged, child, grandchild, other = (f"photos/p{n}.jpg" for n in range(4))
    synthesised(own, flagged, None)
    for name, parent in ((child, flagged), (grandchild, child), (other, "web/p9.jpg")):
        synthesised(own, name, parent, flags=())
    taken = set(flagged_ids(own.lake, pin(own.lake), ["research-only"]))
    assert taken == {own.ids[name] for name in (flagged, child, grandchild)}
    result = publish(own.lake, tmp_path / "out", exclude_license_flags=["research-only"])
    assert taken.isdisjoint(rows_of(result)["image_id"])
    assert result.left_out == (
        LeftOut(why="licence flag research-only", images=3, labels={"fake": 3}),
    )
    lock = json.loads((tmp_path / "out" / "VERSIONS.lock").read_text())
    assert lock["limits"]["exclude_license_flags"] == ["research-only"]


def test_a_flag_of_a_packaged_generator_is_known_before_its_first_image(made, tmp_path):
    """A schedule may name it from the start; a misspelt flag is refused."""
    result = publish(made.lake, tmp_path / "out", exclude_license_flags=["powered_by_stability_ai"])
    assert (sum(result.splits.values()), result.left_out[0].images) == (18, 0)
    with pytest.raises(ConfigError, match=r"'powered_by' is that of no image .*stability"):
        publish(made.lake, tmp_path / "more", exclude_license_flags=["powered_by"])
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"cap": {"colour": 3}}, "cap names 'colour'; allowed: label, domain, source"),
        ({"cap": {"label": 0}}, "cap of label is 0; allowed: COLUMN=N"),
        ({"balance": "image_id"}, "balance names 'image_id'; allowed: label"),
        ({"exclude_license_flags": "abc"}, "is the text 'abc'; allowed: a list"),
    ],
)
def test_limits_that_are_none_are_refused(limits, said):
    """Before a lake is read."""
    with pytest.raises(ConfigError, match=said):
        Limits.of(**limits)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("label",), "cap 'label' is not a number per column"),
        (("label=-1",), "is not a number per column"),
        (("label=1", "label=2"), "names label twice"),
        (("size=1",), "cap names 'size'"),
    ],
)
def test_a_cap_in_words_is_a_column_and_a_number(texts, said):
    """The error names the form."""
    assert parse_cap(["label=500", "source=1000"]) == {"label": 500, "source": 1000}
    with pytest.raises(ConfigError, match=said):
        parse_cap(texts)


def test_one_value_is_nothing_to_balance(made, tmp_path):
    """The error names the only value."""
    with pytest.raises(InputError, match="have only label 'real'; select images of at least two"):
        publish(made.lake, tmp_path / "out", where="label = 'real'", balance="label")
    with pytest.raises(InputError, match="have no label; select"):
        publish(made.lake, tmp_path / "out", where="label is null", balance="label")
    assert not (tmp_path / "out").exists()


def test_the_command_takes_limits_and_says_what_is_left_out(made, tmp_path, capsys):
    """Its dry run counts the same images."""
    options = ["--lake", made.lake.uri, "--to", str(tmp_path / "out"), "--cap", "label=3"]
    options += ["--balance", "label", "--exclude-license-flag", "powered_by_stability_ai"]
    effects = publish_effects(
        made.lake, tmp_path / "out", overwrite=False, cap={"label": 3}, balance="label"
    )
    assert effects.writes[0].count == 6
    main(["publish", *options])
    said = capsys.readouterr().out
    assert "left out    0: licence flag powered_by_stability_ai" in said
    assert "left out    10: cap of 3 images per label" in said
    assert "fake 3, real 3" in said
