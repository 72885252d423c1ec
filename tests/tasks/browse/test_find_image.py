"""One image of a lake, found by what a person has of it: a file, an id, a URI, a path."""

import hashlib
from datetime import timedelta
from pathlib import Path

import lakes
import polars as pl
import pytest
from lakes import Shot

from assay.data.errors import InputError
from assay.data.text.redaction import redact_url
from assay.tasks.browse.find_image import find_image, local_file
from assay.tasks.rejections import remedy_of

URL = "https://host.test/x/photo.jpg"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three images: of a folder, of an archive, and of a URL with a signature."""
    folder = tmp_path_factory.mktemp("found")
    made = lakes.lake_of(
        folder / "lake",
        [
            Shot(name="cat%20one.jpg", seed=1),
            Shot(name="zip:///pictures/all.zip!inner/dog.jpg", seed=2),
            Shot(name=f"{URL}?sig=***#q=1f6a0c25d3b7e894", seed=3),
        ],
        rejected=[("broken.jpg", "truncated", "cut off at 12 bytes")],
    )
    names = ("cat%20one.jpg", "zip:///pictures/all.zip!inner/dog.jpg")
    made.ids |= {"cat": made.ids[names[0]], "dog": made.ids[names[1]]}
    return made


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("cat one.jpg", "cat"),
        ("./cat one.jpg", "cat"),
        ("pictures/cat one.jpg", "cat"),
        ("/pictures/cat one.jpg", "cat"),
        ("file:///pictures/cat%20one.jpg", "cat"),
        ("dog.jpg", "dog"),
        ("inner/dog.jpg", "dog"),
        ("/pictures/all.zip!inner/dog.jpg", "dog"),
        ("zip:///pictures/all.zip!inner/dog.jpg", "dog"),
        (f"{URL}?sig=***#q=1f6a0c25d3b7e894", f"{URL}?sig=***#q=1f6a0c25d3b7e894"),
    ],
)
def test_an_image_is_found_by_where_it_was_seen(made, name, which):
    """The whole URI, a path that is gone from this machine, and the end of either."""
    assert find_image(made.lake, name) == made.ids[which]


def test_an_image_is_found_by_the_beginning_of_its_id(made):
    """Six characters or more, in either case, with blanks around them."""
    assert find_image(made.lake, made.ids["cat"][:6]) == made.ids["cat"]
    assert find_image(made.lake, f" {made.ids['cat'].upper()} ") == made.ids["cat"]


def test_an_image_is_found_by_a_file_with_its_bytes(made, tmp_path):
    """Wherever the file lies and whatever it is called, by path and by URI."""
    file = tmp_path / "copy of it"
    file.write_bytes(lakes.drawn(Shot(name="", seed=1)))
    assert hashlib.sha256(file.read_bytes()).hexdigest() == made.ids["cat"]
    assert find_image(made.lake, str(file)) == made.ids["cat"]
    assert find_image(made.lake, file.as_uri()) == made.ids["cat"]


def test_a_url_is_found_with_its_secret(tmp_path):
    """The table holds a mark in the place of a signature; the URL as it was given fits it."""
    stored = redact_url(f"{URL}?sig=abc")
    made = lakes.lake_of(tmp_path / "lake", [Shot(name=stored)])
    assert "abc" not in stored
    assert find_image(made.lake, f"{URL}?sig=abc") == made.ids[stored]
    with pytest.raises(InputError, match="nothing was ingested"):
        find_image(made.lake, f"{URL}?sig=other")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "an empty name is no image; see the images of the lake with: assay ls --lake "),
        ("abc", "'abc' is too short for an image id; give 6 characters or more"),
        ("0" * 64, "no image of .* has an id that begins with '0000.*: assay ls --lake "),
        ("cow.jpg", "no file 'cow.jpg', and .* has no image of that id or name.* assay ls --lake"),
        ("ne.jpg", "no file 'ne.jpg'"),
        (
            "s3://bucket/cow.jpg",
            "nothing was ingested into .* from s3://bucket/cow.jpg; .* assay ls",
        ),
        (
            "broken.jpg",
            r"broken.jpg was ingested and rejected: .* \(truncated\). " + remedy_of("truncated"),
        ),
        ("file:///pictures/broken.jpg", r"rejected: .* \(truncated\)"),
    ],
)
def test_what_is_not_found_says_what_to_do(made, name, says):
    """An id, a name or a URI of nothing, and an item that never became an image."""
    with pytest.raises(InputError, match=says):
        find_image(made.lake, name)


def test_a_file_that_was_not_ingested_says_how_to(made, tmp_path):
    """The command that ingests it stands in the message."""
    file = tmp_path / "new.jpg"
    file.write_bytes(b"new")
    with pytest.raises(InputError, match=f"ingest it with: assay moderate {file} --lake"):
        find_image(made.lake, str(file))


def test_a_folder_is_no_image(made, tmp_path):
    """Neither by path nor by URI."""
    for name in (str(tmp_path), tmp_path.as_uri()):
        with pytest.raises(InputError, match="is a folder; give one image"):
            find_image(made.lake, name)


def test_a_file_that_has_changed_names_the_image_that_was_there(tmp_path):
    """Its bytes are no image of the lake, and its path was seen."""
    file = tmp_path / "a.jpg"
    made = lakes.lake_of(tmp_path / "lake", [Shot(name=file.as_uri(), seed=1)])
    file.write_bytes(b"other")
    first = made.ids[file.as_uri()][:16]
    with pytest.raises(InputError, match=f"a.jpg has changed since .* the image .* is {first}"):
        find_image(made.lake, str(file))


def test_the_latest_image_of_a_uri_counts(tmp_path):
    """A URI that gave two images over time is the second of them."""
    made = lakes.lake_of(tmp_path / "lake", [Shot(name="a.jpg"), Shot(name="b.jpg", seed=2)])
    again = (
        made.lake.scan("sightings").collect().filter(pl.col("source_uri").str.ends_with("a.jpg"))
    )
    later = again.with_columns(
        image_id=pl.lit(made.ids["b.jpg"]), seen_at=pl.col("seen_at") + timedelta(days=1)
    )
    assert made.lake.append("sightings", later, txn="again")
    assert find_image(made.lake, "file:///pictures/a.jpg") == made.ids["b.jpg"]


def test_a_name_of_several_images_lists_them(tmp_path):
    """Two folders hold a file of one name; each is still found with its folder."""
    made = lakes.lake_of(
        tmp_path / "lake",
        [Shot(name="file:///x/a.jpg", seed=1), Shot(name="file:///y/a.jpg", seed=2)],
    )
    with pytest.raises(InputError, match=r"several images were ingested as 'a.jpg'") as caught:
        find_image(made.lake, "a.jpg")
    for name in ("file:///x/a.jpg", "file:///y/a.jpg"):
        assert f"{made.ids[name][:16]} ({name})" in str(caught.value)
    assert find_image(made.lake, "y/a.jpg") == made.ids["file:///y/a.jpg"]


def test_several_ids_that_begin_alike_are_listed(tmp_path):
    """More characters are asked for, and the candidates stand there in order."""
    made = lakes.lake_of(tmp_path / "lake", [Shot(name="a.jpg")])
    twin = made.ids["a.jpg"][:20] + "0" * 44
    rows = made.lake.scan("images").collect().with_columns(image_id=pl.lit(twin))
    made.lake.append("images", rows, txn="twin")
    with pytest.raises(InputError, match=r"several images begin with .*; give more characters"):
        find_image(made.lake, twin[:10])
    assert find_image(made.lake, twin) == twin


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000, "http://host.test/a.jpg"])
def test_what_names_no_file_is_none(name):
    """An empty name, a name that no system takes, and a URL are no files."""
    assert local_file(name) is None


def test_a_file_uri_is_its_file(tmp_path):
    """With what a URI escapes."""
    file = tmp_path / "a b#1.jpg"
    file.write_bytes(b"x")
    assert local_file(file.as_uri()) == Path(file)
