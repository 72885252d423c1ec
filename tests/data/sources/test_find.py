from __future__ import annotations

import io
import logging
import os
import pickle
import zipfile
from decimal import Decimal
from pathlib import Path

import factories
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.errors import ConfigError, InputError, UnreadableImage
from assay.data.images.inspect_image import ImageLimits
from assay.data.sources import labelling
from assay.data.sources.find import Item, SourceOptions, find_items, kind_of, read_item
from assay.data.sources.labelling import parse_label
from assay.data.vocabulary import Label, Reason


def tree(root: Path, *names: str) -> Path:
    """Create a folder with a distinct small image under each name."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(factories.png(seed=seed, size=(8, 8)))
    return root


def listed(*sources: Path | str, **options) -> list[Item]:
    return list(find_items([str(source) for source in sources], SourceOptions(**options)))


def names(items: list[Item], root: Path) -> list[str]:
    return [item.source_uri.removeprefix(f"{root.as_uri()}/") for item in items]


def test_a_folder_gives_every_regular_file_in_a_fixed_order(tmp_path):
    """Files of a folder come by name, with any suffix, then those of its subfolders."""
    tree(tmp_path, "b.jpg", "a.png", "notes", "z/c.jpg", "d/e/f.jpg", "readme.txt")
    assert names(listed(tmp_path), tmp_path) == [
        *("a.png", "b.jpg", "notes", "readme.txt"),
        *("d/e/f.jpg", "z/c.jpg"),
    ]


def test_hidden_files_and_folders_are_no_items(tmp_path):
    """Names with a leading dot, and names added by macOS, are skipped."""
    tree(tmp_path, "a.jpg", ".b.jpg", ".git/c.jpg", "__MACOSX/d.jpg", "x/.cache/e.jpg")
    assert names(listed(tmp_path), tmp_path) == ["a.jpg"]


def test_items_give_the_bytes_and_survive_pickling(tmp_path):
    """An item has an address only, which another process can read."""
    tree(tmp_path, "a.jpg")
    (item,) = listed(tmp_path)
    again = pickle.loads(pickle.dumps(item))
    assert again == item
    assert read_item(again, SourceOptions()) == (tmp_path / "a.jpg").read_bytes()


def test_names_of_any_bytes_become_ascii_uris(tmp_path):
    """Spaces, accents and bytes that are not text are percent-encoded, and still read."""
    tree(tmp_path, "my pic!.jpg", "é.jpg")
    odd = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    Path(os.fsdecode(odd)).write_bytes(factories.jpeg())
    items = listed(tmp_path)
    assert names(items, tmp_path) == ["my%20pic%21.jpg", "%C3%A9.jpg", "%FF%FE.jpg"]
    assert all(read_item(item, SourceOptions()) for item in items)


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (("*.jpg",), (), ["B.JPG", "a.jpg", "x/c.jpg", "x/y/d.jpg"]),
        (("x",), (), ["x/c.jpg", "x/e.png", "x/y/d.jpg"]),
        (("x/*.jpg",), (), ["x/c.jpg"]),
        (("x/**/*.jpg",), (), ["x/c.jpg", "x/y/d.jpg"]),
        (("**/d.jpg",), (), ["x/y/d.jpg"]),
        ((), ("*.jpg",), ["x/e.png"]),
        ((), ("x/y",), ["B.JPG", "a.jpg", "x/c.jpg", "x/e.png"]),
        (("*.jpg",), ("x",), ["B.JPG", "a.jpg"]),
        (("[ab].jpg",), (), ["B.JPG", "a.jpg"]),
        (("[!ab].jp?",), (), ["x/c.jpg", "x/y/d.jpg"]),
    ],
)
def test_include_and_exclude_choose_by_pattern(tmp_path, include, exclude, expected):
    """Patterns match names and folders, or whole paths if they have a slash."""
    tree(tmp_path, "a.jpg", "B.JPG", "x/c.jpg", "x/y/d.jpg", "x/e.png")
    assert names(listed(tmp_path, include=include, exclude=exclude), tmp_path) == expected
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name in ("B.JPG", "a.jpg", "x/c.jpg", "x/e.png", "x/y/d.jpg"):
            out.writestr(name, b"x")
    inside = [
        item.source_uri.partition("!")[2]
        for item in listed(archive, include=include, exclude=exclude)
    ]
    assert inside == expected


def test_links_that_lead_out_are_unsafe_and_loops_end(tmp_path):
    """A link inside the folder is followed; one out of it, or in a loop, is a problem."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    tree(outside, "secret.jpg")
    tree(inside, "a.jpg", "sub/b.jpg")
    (inside / "fine.jpg").symlink_to("a.jpg")
    (inside / "out.jpg").symlink_to(outside / "secret.jpg")
    (inside / "out-folder").symlink_to(outside)
    (inside / "self").symlink_to("self")
    (inside / "gone.jpg").symlink_to("nowhere.jpg")
    (inside / "sub" / "loop").symlink_to(inside)
    items = {
        name: item for item, name in zip(listed(inside), names(listed(inside), inside), strict=True)
    }
    problems = {name: item.problem[0] for name, item in items.items() if item.problem}
    assert sorted(items) == [
        *("a.jpg", "fine.jpg", "gone.jpg", "out-folder", "out.jpg", "self", "sub/b.jpg"),
    ]
    assert problems == {
        "out.jpg": Reason.UNSAFE_PATH,
        "out-folder": Reason.UNSAFE_PATH,
        "self": Reason.UNSAFE_PATH,
        "gone.jpg": Reason.NOT_FOUND,
    }


def test_a_link_that_is_swapped_after_listing_is_still_unsafe(tmp_path):
    """Reading checks links again, since a file may be replaced after listing."""
    tree(tmp_path / "in", "a.jpg")
    tree(tmp_path / "out", "secret.jpg")
    (item,) = listed(tmp_path / "in")
    (tmp_path / "in" / "a.jpg").unlink()
    (tmp_path / "in" / "a.jpg").symlink_to(tmp_path / "out" / "secret.jpg")
    with pytest.raises(UnreadableImage) as caught:
        read_item(item, SourceOptions())
    assert caught.value.reason is Reason.UNSAFE_PATH


def test_a_pipe_in_a_folder_is_no_item_and_does_not_block(tmp_path):
    """A pipe is not an item; a file replaced by a pipe is refused without waiting."""
    tree(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (item,) = listed(tmp_path)
    (tmp_path / "a.jpg").unlink()
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_item(item, SourceOptions())


def test_what_changes_between_listing_and_reading_has_a_reason(tmp_path):
    """A removed file is not_found; one grown beyond the limit is too_many_bytes."""
    tree(tmp_path, "a.jpg", "b.jpg")
    first, second = listed(tmp_path)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(UnreadableImage) as caught:
        read_item(first, SourceOptions())
    assert caught.value.reason is Reason.NOT_FOUND
    with pytest.raises(UnreadableImage) as caught:
        read_item(second, SourceOptions(limits=ImageLimits(max_bytes=10)))
    assert caught.value.reason is Reason.TOO_MANY_BYTES


def test_a_file_that_grows_while_it_is_read_is_read_whole(tmp_path, monkeypatch):
    """Bytes that came after its size was looked at count, for the limit too."""
    tree(tmp_path, "a.jpg")
    (item,) = listed(tmp_path)
    path, fstat = tmp_path / "a.jpg", os.fstat

    def grown_after(descriptor):
        about = fstat(descriptor)
        path.write_bytes(path.read_bytes() + b"more")
        return about

    monkeypatch.setattr(os, "fstat", grown_after)
    before = path.read_bytes()
    assert read_item(item, SourceOptions()) == before + b"more"
    with pytest.raises(UnreadableImage) as caught:
        read_item(item, SourceOptions(limits=ImageLimits(max_bytes=len(before) + 5)))
    assert caught.value.reason is Reason.TOO_MANY_BYTES


def test_a_folder_that_may_not_be_read_is_a_row(tmp_path):
    """An unreadable folder gives a row and is not skipped silently."""
    tree(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    try:
        if os.access(tmp_path / "locked", os.R_OK):
            pytest.skip("this user may read everything")
        items = listed(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert [item.problem and item.problem[0] for item in items] == [None, Reason.NOT_PERMITTED]


def test_the_fingerprint_changes_with_the_file(tmp_path):
    """New content or a new time changes the fingerprint of a file."""
    tree(tmp_path, "a.jpg")
    (before,) = listed(tmp_path)
    assert listed(tmp_path) == [before]
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    (touched,) = listed(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"other")
    (changed,) = listed(tmp_path)
    assert len({before.fingerprint, touched.fingerprint, changed.fingerprint}) == 3
    assert before.source_uri == changed.source_uri


def test_sidecars_label_their_picture_and_are_no_items(tmp_path):
    """`.json`, `.cls` and `.txt` label their image; without an image they are items."""
    tree(tmp_path, "a.jpg", "b.png", "c.jpg", "d.jpg", "e.jpg", "x.y.jpg")
    (tmp_path / "a.json").write_text('{"label": "fake", "domain": "art", "other": [1]}')
    (tmp_path / "b.cls").write_text("0\n")
    (tmp_path / "c.txt").write_text("a photo of a cat")
    (tmp_path / "d.txt").write_text("Fake")
    (tmp_path / "e.jpg.json").write_text("{not json")
    (tmp_path / "x.cls").write_text("1")
    (tmp_path / "alone.txt").write_text("no picture beside me")
    items = listed(tmp_path, domain="default")
    assert [
        (name, item.label, item.domain)
        for item, name in zip(items, names(items, tmp_path), strict=True)
    ] == [
        ("a.jpg", "fake", "art"),
        ("alone.txt", None, "default"),
        ("b.png", "real", "default"),
        ("c.jpg", None, "default"),
        ("d.jpg", "fake", "default"),
        ("e.jpg", None, "default"),
        ("x.y.jpg", "fake", "default"),
    ]


def test_keys_and_suffixes_of_sidecars_count_in_any_case(tmp_path):
    """Keys and suffixes match in any case; names that differ by case only are ignored."""
    tree(tmp_path, "a.JPG", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "a.JSON").write_text('\ufeff{" Label": "1.0", "DOMAIN": "art"}', encoding="utf-8")
    (tmp_path / "b.Cls").write_bytes("\ufeffFALSE\r\n".encode("utf-16-le"))
    (tmp_path / "c.json").write_text('{"label": "real", "Label": "fake", "domain": "x"}')
    (tmp_path / "d.txt").write_text("fake")
    (tmp_path / "d.TXT").write_text("real")
    items = listed(tmp_path)
    assert [(item.label, item.domain, item.note) for item in items] == [
        ("fake", "art", None),
        ("real", None, None),
        (None, "x", "keys that differ by case only: label, Label"),
        (None, None, "sidecars that differ by case only: d.TXT, d.txt"),
    ]
    assert [(item.label, item.note) for item in listed(tmp_path / "a.JPG")] == [("fake", None)]
    assert listed(tmp_path / "a.JPG", tmp_path / "a.JSON") == listed(tmp_path / "a.JPG")


def test_text_that_utf8_cannot_hold_is_mended_and_never_stops_a_source(tmp_path):
    """Lone surrogates in JSON and folder names in any encoding are replaced."""
    tree(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "a.json").write_text('{"domain": "\\ud800x", "label": "\\udfff"}')
    (tmp_path / "b.json").write_bytes('{"domain": "Zürich"}'.encode("latin-1"))
    for name in (b"caf\xe9", "café".encode(), b"\x81\xff"):
        tree(tmp_path / "x" / os.fsdecode(name), "c.jpg")
    items = listed(tmp_path)
    assert [item.domain for item in items[:2]] == ["\ufffdx", "Zürich"]
    assert items[0].note == "label not known: \ufffd"
    items = listed(tmp_path / "x", domain_from="parent-folder", label_from="parent-folder")
    assert {(item.source_uri.split("/")[-2], item.domain) for item in items} == {
        ("%81%FF", r"\x81ÿ"),
        ("caf%C3%A9", "café"),
        ("caf%E9", "café"),
    }
    assert all((item.note or "").encode() for item in items)


def test_other_keys_of_a_sidecar_can_be_asked_for(tmp_path):
    """`column:NAME` selects the key of a sidecar."""
    tree(tmp_path, "a.jpg")
    (tmp_path / "a.json").write_text('{"label": "fake", "truth": "real", "set": "news"}')
    (item,) = listed(tmp_path, label_from="column:truth", domain_from="column:set")
    assert (item.label, item.domain) == ("real", "news")


def test_folders_give_labels_and_domains(tmp_path):
    """The nearest folder that spells a label gives it; the nearest folder is the domain."""
    tree(tmp_path, "real/kodak/a.jpg", "1_fake/b.jpg", "misc/c.jpg")
    items = listed(tmp_path, label_from="parent-folder", domain_from="parent-folder")
    assert [(item.label, item.domain) for item in items] == [
        ("fake", "1_fake"),
        (None, "misc"),
        ("real", "kodak"),
    ]
    (item,) = listed(tmp_path / "1_fake", label_from="parent-folder")
    assert item.label == "fake"
    (item,) = listed(tmp_path / "1_fake" / "b.jpg", label_from="parent-folder")
    assert item.label == "fake"


def test_an_unknown_label_is_kept_out_and_logged_once(tmp_path, caplog, monkeypatch):
    """An unknown word gives no label, and one line in the log."""
    monkeypatch.setattr(labelling, "_warned", set())
    tree(tmp_path, "a.jpg", "b.jpg")
    for name in ("a", "b"):
        (tmp_path / f"{name}.cls").write_text("sparrow")
    with caplog.at_level(logging.WARNING):
        assert [item.label for item in listed(tmp_path)] == [None, None]
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == ['unknown label "sparrow"']


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("real", Label.REAL),
        (" Real ", Label.REAL),
        ("0_real", Label.REAL),
        (0, Label.REAL),
        (0.0, Label.REAL),
        (False, Label.REAL),
        ("AI-generated", Label.FAKE),
        ("machine made", Label.FAKE),
        (1, Label.FAKE),
        ("1", Label.FAKE),
        (True, Label.FAKE),
        ("laundered", Label.LAUNDERED),
        ("Unsure", Label.UNSURE),
        (2, None),
        (0.5, None),
        (float("nan"), None),
        ("", None),
        (None, None),
        ("1.0", Label.FAKE),
        ("0.", Label.REAL),
        ("TRUE", Label.FAKE),
        ("False", Label.REAL),
        (b"fake", Label.FAKE),
        (Decimal("1.00"), Label.FAKE),
        ("0.5", None),
        ("-1", None),
        (-1, None),
        ("-1.0", None),
        (10**20, None),
        ("9" * 5000, None),
        ([1], None),
    ],
)
def test_labels_have_many_spellings(value, label):
    """0 is real, 1 is fake, words match in any case, and other values are not labels."""
    assert parse_label(value) is label


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.binary()))
def test_any_value_is_a_label_or_none(value):
    """No value of a column raises an error."""
    assert parse_label(value) in {None, *Label}


def test_globs_give_files_in_order_and_folders_as_folders(tmp_path):
    """Matches of a glob are sources of their own; `**` matches files only."""
    tree(tmp_path, "b.jpg", "a.jpg", "x/c.jpg", "x/y/d.jpg", ".h.jpg", "x/.g.jpg")
    (tmp_path / "a.json").write_text('{"label": "real"}')
    every = names(listed(tmp_path / "*"), tmp_path)
    assert every == ["a.jpg", "b.jpg", "x/c.jpg", "x/y/d.jpg"]
    assert names(listed(tmp_path / "*.jpg"), tmp_path) == ["a.jpg", "b.jpg"]
    deep = names(listed(f"{tmp_path}/**/*.jpg"), tmp_path)
    assert deep == ["a.jpg", "b.jpg", "x/c.jpg", "x/y/d.jpg"]
    assert names(listed(f"{tmp_path}/**"), tmp_path) == deep
    assert names(listed(f"{tmp_path}/x/*/d.jpg"), tmp_path) == ["x/y/d.jpg"]
    assert listed(tmp_path / "a*.jpg")[0].label == "real"


def test_sources_that_overlap_are_listed_once(tmp_path):
    """A file or folder inside an earlier source, or repeated, is listed once."""
    tree(tmp_path, "a.jpg", "x/b.jpg", "x/c.jpg")
    once = listed(tmp_path)
    assert listed(tmp_path, tmp_path, tmp_path / "x", tmp_path / "a.jpg") == once
    assert listed(tmp_path, f"{tmp_path}/", tmp_path.as_uri()) == once
    first = listed(tmp_path / "x" / "b.jpg", tmp_path, tmp_path / "x" / "b.jpg")
    assert sorted(names(first, tmp_path)) == ["a.jpg", "x/b.jpg", "x/c.jpg"]


def test_sources_come_one_after_the_other(tmp_path):
    """Items come in the order of the sources."""
    tree(tmp_path, "b/1.jpg", "a/2.jpg")
    assert names(listed(tmp_path / "b", tmp_path / "a"), tmp_path) == ["b/1.jpg", "a/2.jpg"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{tmp}/nothing.jpg", "no such file or folder"),
        ("{tmp}/nothing*.jpg", "no file or folder matches"),
        ("ftp://example.org/a.jpg", "ftp:// is not supported"),
        ("{tmp}/bad.zip", "not a readable ZIP"),
        ("{tmp}/bad.tar", "not a readable TAR"),
        ("{tmp}/bad.parquet", "not a readable Parquet"),
        ("{tmp}/bad.csv", "no column that looks like images"),
        ("{tmp}/bad.7z", "7-Zip archives are not supported"),
        ("a\0b", "no such file or folder"),
    ],
)
def test_a_source_that_cannot_be_opened_stops_before_the_first_item(tmp_path, source, message):
    """The call itself raises an error that names source and defect."""
    tree(tmp_path, "good.jpg")
    for name in ("bad.zip", "bad.tar", "bad.parquet"):
        (tmp_path / name).write_bytes(b"no archive at all")
    (tmp_path / "bad.csv").write_text("one,two\n1,2\n")
    (tmp_path / "bad.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(20))
    with pytest.raises(InputError, match=message):
        find_items([str(tmp_path / "good.jpg"), source.format(tmp=tmp_path)], SourceOptions())


def test_no_source_is_an_error():
    """An empty list of sources is an error."""
    with pytest.raises(InputError, match="no source"):
        find_items([], SourceOptions())


def test_options_are_checked_at_once():
    """An invalid setting is a usage error before anything is listed."""
    with pytest.raises(ConfigError, match='"parent-folder", "column:NAME"'):
        SourceOptions(label_from="folder")
    with pytest.raises(ConfigError, match="include has an empty pattern"):
        SourceOptions(include=("*.jpg", ""))
    with pytest.raises(ConfigError, match="fetch_timeout_s"):
        SourceOptions(fetch_timeout_s=0)


def test_kinds_are_told_by_suffix_and_by_content(tmp_path):
    """An archive without its suffix is detected by its first bytes; an image is a file."""
    tree(tmp_path, "a.jpg")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("a", "b")
    (tmp_path / "no-suffix").write_bytes(packed.getvalue())
    assert kind_of(str(tmp_path)) == "folder"
    assert kind_of(str(tmp_path / "a.jpg")) == "file"
    assert kind_of(str(tmp_path / "no-suffix")) == "zip"
    assert kind_of(f"{tmp_path}/*.jpg") == "glob"
    assert kind_of("HTTPS://example.org/a.jpg") == "url"
    for suffix, kind in (("tar.gz", "tar"), ("TGZ", "tar"), ("ndjson", "jsonl"), ("tsv", "csv")):
        (tmp_path / f"x.{suffix}").write_bytes(b"")
        assert kind_of(str(tmp_path / f"x.{suffix}")) == kind


def test_a_folder_is_listed_lazily(tmp_path):
    """The first item comes before the last folder is listed."""
    tree(tmp_path, "a/1.jpg", "b/2.jpg")
    items = find_items([str(tmp_path)], SourceOptions())
    assert next(items).source_uri.endswith("a/1.jpg")
    tree(tmp_path, "b/3.jpg")
    assert [item.source_uri[-5:] for item in items] == ["2.jpg"[-5:], "3.jpg"[-5:]]
