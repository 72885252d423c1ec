"""Known hashes: every match is found, lists come whole or not at all, and a match decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from factories import encoded, photo
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import KEY, Shot, lake_of

from assay.data.errors import InputError
from assay.data.images.pixel_facts import measure_pixels
from assay.data.store.lake import Lake
from assay.data.vocabulary import Decision
from assay.flows.cli import main
from assay.tasks.decide.decide import decide
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.hashes.hash_file import read_hashes
from assay.tasks.hashes.index import HashIndex, Words, words_of
from assay.tasks.hashes.known_hashes import add_hashes, known_decisions
from assay.tasks.measures.measures import measure_images


def flipped(hash_: str, *bits: int) -> str:
    value = int(hash_, 16)
    for bit in bits:
        value ^= 1 << bit
    return f"{value:064x}"


def near(words: Words, wanted: Words, n_bits: int) -> list[list[int]]:
    """Return the matches by comparing all pairs."""
    distance = np.bitwise_count(words[None] ^ wanted[:, None]).sum(axis=2, dtype=np.int64)
    return [list(np.flatnonzero(row <= n_bits)) for row in distance]


def clustered(rng: np.random.Generator, n: int) -> Words:
    """Return hashes of which many lie near 31 bits from one another."""
    base = rng.integers(0, 2**64, (3, 4), dtype=np.uint64)
    words = base[rng.integers(0, 3, n)]
    for _ in range(18):
        bit = rng.integers(0, 256, n)
        words[np.arange(n), bit // 64] ^= np.uint64(1) << (bit % 64).astype(np.uint64)
    return words


@given(st.integers(0, 2**32), st.integers(0, 31), st.lists(st.integers(0, 30), max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_look_up_finds_what_comparing_all_pairs_finds(seed, n_bits, sizes):
    """In any number of additions, of any sizes, at any distance up to 31."""
    rng = np.random.default_rng(seed)
    words, wanted = clustered(rng, sum(sizes)), clustered(rng, 5)
    index = HashIndex()
    for part in np.split(words, np.cumsum(sizes)[:-1]) if sizes else []:
        index.add(part)
    assert len(index) == len(words)
    assert [list(found) for found in index.find(wanted, n_bits=n_bits)] == near(
        words, wanted, n_bits
    )


def test_31_bits_match_and_32_do_not():
    """At the worst place: two bits of every band but one."""
    own = "0" * 64
    index = HashIndex()
    index.add(words_of([own]))
    bits = [16 * band + at for band in range(16) for at in (0, 9)]
    assert list(index.find(words_of([flipped(own, *bits[:31])]))[0]) == [0]
    assert not len(index.find(words_of([flipped(own, *bits)]))[0])
    with pytest.raises(ValueError, match="allowed: 0 to 31"):
        index.find(words_of([own]), n_bits=32)


def test_an_index_that_grows_keeps_few_parts():
    """A thousand additions of one hash leave no more parts than the logarithm."""
    index = HashIndex()
    words = clustered(np.random.default_rng(1), 300)
    for word in words:
        index.add(word[None])
    assert len(index._segments) <= 9
    assert index.find(words[:1], n_bits=0)[0][0] == 0


def written(folder: Path, text: str) -> Path:
    file = folder / "list.csv"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as CSV"),
        ("name,note\na,b\n", "has the columns 'name', 'note'; one must be `hash`"),
        (f"hash,note\n{'a' * 64},x\n{'b' * 63},x\nzz,x\n", f"line 3: '{'b' * 63}', line 4: 'zz'"),
        (f"hash\n{'a' * 64}\n\n{'a' * 10}", "line 4: 'aaaaaaaaaa'"),
        (f"hash,note\n{'a' * 64},x,y\n", "cannot be read as CSV"),
    ],
)
def test_a_bad_file_names_its_rows(tmp_path, text, words):
    """Nothing of a file with a bad row is used; the row is named by its line."""
    with pytest.raises(InputError, match=words):
        read_hashes(written(tmp_path, text))


@pytest.mark.parametrize("name", ["", "gone.csv", "*.csv"])
def test_a_list_is_one_file(tmp_path, name):
    """Neither a folder nor a pattern nor a missing file is read."""
    written(tmp_path, f"hash\n{'a' * 64}\n")
    with pytest.raises(InputError, match=r"cannot be read \(.*\); give a CSV file"):
        read_hashes(tmp_path / name)


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [encoded(photo(seed=seed, size=(500, 460)), "PNG") for seed in range(3)]


@pytest.fixture
def seen(tmp_path, pictures) -> tuple[str, list[str]]:
    """Ingest three photos; return the lake and their hashes."""
    (tmp_path / "p").mkdir()
    for number, raw in enumerate(pictures):
        (tmp_path / "p" / f"{number}.png").write_bytes(raw)
    lake = str(tmp_path / "lake")
    main(["ingest", str(tmp_path / "p"), "--lake", lake, "--quiet"])
    return lake, [measure_pixels(raw).pdq for raw in pictures]


def called(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["hashes", *words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_lists_are_imported_listed_and_exported(tmp_path, seen, capsys):
    """A dry run adds nothing, an import adds each hash once, an export gives them back."""
    lake, hashes = seen
    file = written(
        tmp_path, f"note,hash\nmine,{hashes[0].upper()}\nmine,{hashes[0]}\n,{hashes[1]}\n"
    )
    words = ("import", str(file), "--list", "own", "--lake", lake)
    assert called(capsys, *words, "--dry-run")["writes"][0]["count"] == 2
    assert called(capsys, "list", "--lake", lake)["lists"] == []
    assert called(capsys, *words)["added"] == 2
    assert called(capsys, *words)["added"] == 0
    (row,) = called(capsys, "list", "--lake", lake)["lists"]
    assert (row["list_name"], row["n_hashes"], row["n_flag"]) == ("own", 2, 0)
    out = tmp_path / "out.csv"
    assert (
        called(capsys, "export", "--to", str(out), "--list", "own", "--lake", lake)["hashes"] == 2
    )
    assert list(read_hashes(out)["hash"]) == hashes[:2]


def test_a_bad_import_changes_nothing(tmp_path, seen, capsys):
    """The exit code is that of bad input, and the lake has no table."""
    lake, hashes = seen
    file = written(tmp_path, f"hash\n{hashes[0]}\nno\n")
    with pytest.raises(SystemExit) as stopped:
        main(["hashes", "import", str(file), "--list", "own", "--lake", lake])
    assert stopped.value.code == 3
    assert Lake(lake).version("known_hashes") is None
    with pytest.raises(SystemExit) as stopped:
        main(["hashes", "import", str(file), "--list", "a b", "--lake", lake])
    assert stopped.value.code == 3


def test_an_image_matches_within_31_bits_and_a_flag_goes_first(seen):
    """Of two matches, the one that flags counts; an image without a hash matches nothing."""
    lake, hashes = Lake(seen[0]), seen[1]
    images = pl.DataFrame({"image_id": ["a", "b", "c"], "pdq": [hashes[0], hashes[1], None]})
    assert known_decisions(lake, images).is_empty()
    add_hashes(
        lake, listed(flipped(hashes[0], *range(31))), list_name="x", decision=Decision.REVIEW
    )
    assert known_decisions(lake, images).rows() == [("a", "review")]
    # The index is added to, not built again.
    add_hashes(lake, listed(flipped(hashes[0], 5)), list_name="y", decision=Decision.FLAG)
    add_hashes(lake, listed(flipped(hashes[1], *range(32))), list_name="y", decision=Decision.FLAG)
    assert known_decisions(lake, images).rows() == [("a", "flag")]


def listed(*hashes: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"hash": hashes, "note": [None] * len(hashes)}, schema_overrides={"note": pl.String}
    )


@pytest.mark.parametrize("known", ["review", "flag"])
@pytest.mark.parametrize(
    "changes", [{}, {"prob_fake": 0.99}, {"status": "failed"}, {"width_px": 5}, {"domain": "x"}]
)
def test_a_match_never_depends_on_the_score(known, changes):
    """Whatever else is known of an image, the list decides, and names itself first."""
    row = {
        "image_id": "a",
        "detector": "mini@1",
        "status": "scored",
        "prob_fake": 0.01,
        "width_px": 640,
        "height_px": 480,
        "domain": None,
        "ai_declared": None,
    }
    out = decide(pl.DataFrame([row | changes | {"known": known}]), load_policy())
    assert out["decision"][0] == known
    assert out["reasons"][0][0] == "known_hash"


def test_images_are_decided_by_the_lists_of_their_lake(tmp_path):
    """`decide` reads the hashes of the images and the lists, with the next decision."""
    made = lake_of(tmp_path, [Shot(name="a", seed=1), Shot(name="b", seed=2)])
    own = measure_pixels(made.lake.image(made.ids["a"])).pdq
    add_hashes(made.lake, listed(flipped(own, 3)), list_name="x", decision=Decision.FLAG)
    measure_images(made.lake, list(made.ids.values()))
    counts = decide_images(
        made.lake, image_ids=None, key=KEY, policy=load_policy(), run_id="20260301T120000Z-00000002"
    )
    assert counts == {"clear": 1, "review": 0, "flag": 1}
    rows = made.lake.scan("decisions").filter(pl.col("decision") == "flag").collect()
    assert rows["image_id"].to_list() == [made.ids["a"]]
    assert rows["reasons"][0].to_list() == ["known_hash", "below_review_threshold"]
