"""`assay similar`: the right neighbours told, drawn, or refused with a reason."""

import dataclasses
import io
import json
import math
import shutil
from datetime import timedelta

import factories
import lakes
import numpy as np
import polars as pl
import pytest
import tiny_models
from lakes import Shot
from PIL import Image

from assay.data.errors import ConfigError, InputError, ModelError
from assay.data.images.inspect_image import inspect_image
from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.pages.thumbnails import thumbnail
from assay.tasks.similar.contact_sheet import IMAGE_PX, draw_sheet
from assay.tasks.similar.query_embedding import embed_image
from assay.tasks.similar.search import MAX_TELLING_BITS, find_similar, image_query, stored_query
from assay.tasks.similar.write_sheet import write_sheet


def at(degrees):
    """Return an embedding of length 3 in a direction, so that cosines are those of the angles."""
    return [3 * math.cos(math.radians(degrees)), 3 * math.sin(math.radians(degrees))]


def embed(made, angles, **changes):
    """Commit scores with these embeddings by shot name; None is a failure."""
    rows = [
        {
            "image_id": made.ids[name],
            "detector": lakes.DETECTOR,
            "weights_sha256": lakes.WEIGHTS,
            "profile": lakes.PROFILE,
            "backend": "torch-cpu",
            "precision": "fp32",
            "status": "scored" if angle is not None else "failed",
            "reason": None if angle is not None else "non_finite_logit",
            "logit": 0.0 if angle is not None else None,
            "prob_fake": 0.5 if angle is not None else None,
            "embedding": at(angle) if angle is not None else None,
            "run_id": made.run_id,
            "code_version": "0.1.0",
            "scored_at": lakes.START + timedelta(minutes=number),
        }
        | changes
        for number, (name, angle) in enumerate(angles.items())
    ]
    made.lake.append("scores", rows, txn=f"embed:{changes}")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Six pictures: `copy` is `a` at a lower quality, `failed` has no embedding."""
    shots = [
        Shot(name="a", seed=1, label="fake"),
        Shot(name="copy", seed=1, quality=40),
        Shot(name="b", seed=2),
        Shot(name="c", seed=3, format="PNG", label="real"),
        Shot(name="d", seed=4),
        Shot(name="failed", seed=5),
    ]
    made = lakes.lake_of(tmp_path_factory.mktemp("similar") / "lake", shots, is_scored=False)
    embed(made, {"a": 0, "copy": 80, "b": 10, "c": 20, "d": 100, "failed": None})
    return made


@pytest.fixture
def made(template, tmp_path, monkeypatch):
    """Return a copy of the lake of six pictures, and give it a cache of its own."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(template.lake.path(), tmp_path / "lake")
    return dataclasses.replace(template, lake=Lake(tmp_path / "lake"))


def ask(made, name="a", **settings):
    return find_similar(made.lake, stored_query(made.lake, made.ids[name]), **settings)


def names(made, found):
    by_id = {image_id: name for name, image_id in made.ids.items()}
    return [by_id[neighbour.known.image_id] for neighbour in found.neighbours]


def phash(made, name):
    rows = made.lake.scan("images").filter(pl.col("image_id") == made.ids[name])
    return int(rows.collect()["phash"][0], 16)


def test_by_embedding_the_smallest_angle_comes_first(made):
    """Cosines of 10, 20, 80 and 100 degrees; the query itself and the failure are left out."""
    found = ask(made, by="embedding")
    assert names(made, found) == ["b", "c", "copy", "d"]
    expected = [math.cos(math.radians(angle)) for angle in (10, 20, 80, 100)]
    assert [n.similarity for n in found.neighbours] == pytest.approx(expected, abs=1e-6)
    assert [n.rank for n in found.neighbours] == [1, 2, 3, 4]
    assert found.search.describe() == "exact, 4 images"


def test_by_hash_the_copy_comes_first(made):
    """Distances equal a count over Python's integers, also for images without embedding."""
    found = ask(made, by="phash")
    assert names(made, found)[0] == "copy"
    assert set(names(made, found)) == set(made.ids) - {"a"}
    own = phash(made, "a")
    for name, neighbour in zip(names(made, found), found.neighbours, strict=True):
        assert neighbour.hamming_bits == (own ^ phash(made, name)).bit_count()
        assert (neighbour.similarity is None) == (name == "failed")
    bits = [neighbour.hamming_bits for neighbour in found.neighbours]
    assert bits == sorted(bits)
    assert bits[0] <= MAX_TELLING_BITS < bits[1]


def test_by_both_a_copy_goes_before_the_nearest_embeddings(made):
    """1/61 by hash and 1/63 by embedding is most; ranks by distant hashes count nothing."""
    found = ask(made)
    assert names(made, found) == ["copy", "b", "c", "d"]
    assert found.neighbours[0].similarity == pytest.approx(math.cos(math.radians(80)), abs=1e-6)
    assert all(neighbour.hamming_bits is not None for neighbour in found.neighbours)


def test_what_is_known_is_told(made):
    """Score, label, decision and source stand beside the distances."""
    row = {
        "image_id": made.ids["c"],
        **lakes.KEY.as_row(),
        "policy_id": "p",
        "calibration_id": None,
        "p_real": None,
        "inputs_sha256": None,
        "log_index": None,
        "previous_sha256": None,
        "prob_calibrated": None,
        "decision": "review",
        "reasons": ["in_review_band"],
        "group_id": None,
        "run_id": made.run_id,
        "decided_at": lakes.START,
    }
    made.lake.append("decisions", [row], txn="d1")
    later = row | {"decision": "flag", "decided_at": lakes.START + timedelta(hours=1)}
    made.lake.append("decisions", [later], txn="d2")
    earlier = row | {"decision": "clear", "decided_at": lakes.START - timedelta(hours=1)}
    made.lake.append("decisions", [earlier], txn="d3")
    found = ask(made, by="embedding", k=2)
    known = found.neighbours[1].known
    assert (known.label, known.decision, known.prob_fake) == ("real", "flag", 0.5)
    assert known.source_uri == "file:///pictures/c"
    assert found.query.label == "fake"
    assert found.neighbours[0].known.decision is None


def test_an_image_scored_twice_is_one_neighbour(made):
    """An image that two machines have scored takes one place."""
    embed(made, {"a": 0, "b": 10, "c": 20}, backend="torch-cuda")
    found = ask(made, by="embedding")
    assert names(made, found) == ["b", "c", "copy", "d"]
    assert found.search.n_images == 4


@pytest.mark.parametrize("k", [1, 3, 4, 1000])
def test_k_cuts_the_list_and_a_small_lake_gives_what_it_has(made, k):
    """A k beyond the number of images is no error."""
    for by, n in (("embedding", 4), ("phash", 5), ("both", 4)):
        assert len(ask(made, by=by, k=k).neighbours) == min(k, n)


@pytest.mark.parametrize("k", [0, -1])
def test_less_than_one_neighbour_is_refused(made, k):
    """A k below 1 is a wrong argument."""
    with pytest.raises(ConfigError, match="allowed: 1 to 1,000,000 neighbours"):
        ask(made, k=k)


@pytest.mark.parametrize("by", ["embedding", "both"])
@pytest.mark.parametrize("exact_below", [1, 50_000])
def test_an_image_without_an_embedding_is_pointed_to_its_hash(made, by, exact_below):
    """Neither way of searching invents a vector; by hash it can be asked about."""
    with pytest.raises(InputError, match="--by phash"):
        ask(made, "failed", by=by, exact_below=exact_below)
    assert len(ask(made, "failed", by="phash").neighbours) == 5


@pytest.mark.parametrize("by", ["embedding", "both"])
def test_the_index_gives_what_comparing_with_all_gives(tmp_path, monkeypatch, by):
    """On 300 images the same neighbours and cosines, with a recall that was measured."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(4)
    shots = [Shot(name=str(n), seed=n // 2, size=(64, 64), quality=60 + n % 2) for n in range(300)]
    made = lakes.lake_of(tmp_path / "lake", shots, is_scored=False)
    embed(made, dict.fromkeys(made.ids, 0.0), embedding=None, status="failed")
    rows = made.lake.scan("scores").collect()
    vectors = rng.standard_normal((300, 32)).astype(np.float32)
    scored = rows.with_columns(
        status=pl.lit("scored"), embedding=pl.Series(vectors.tolist(), dtype=pl.List(pl.Float32))
    )
    made.lake.append("scores", scored, txn="scored")
    one = ask(made, "7", by=by, k=8)
    other = ask(made, "7", by=by, k=8, exact_below=300)
    assert other.search.method == "approximate"
    assert other.search.n_queries == 200
    assert other.search.recall == pytest.approx(1, abs=0.01)
    assert "measured on 200 sampled queries against brute force" in other.search.describe()
    assert names(made, one) == names(made, other)
    assert "7" not in names(made, other)
    for mine, theirs in zip(one.neighbours, other.neighbours, strict=True):
        assert mine.similarity == pytest.approx(theirs.similarity, abs=1e-3)
    assert ask(made, "7", by=by, k=8, exact_below=300, exact=True) == one
    if by == "both":
        assert names(made, one)[0] == "6"


def test_the_detector_that_scored_last_is_asked_unless_another_is_named(made):
    """By a registered name or by the id in the tables; of an unknown one the known are listed."""
    embed(
        made,
        {"a": 0, "d": 5, "b": 50},
        detector="other@1",
        scored_at=lakes.START + timedelta(days=1),
    )
    assert names(made, ask(made, by="embedding")) == ["d", "b"]
    for detector in ("mini", lakes.DETECTOR):
        found = ask(made, by="embedding", detector=detector)
        assert names(made, found)[0] == "b"
        assert found.key.detector == lakes.DETECTOR
    with pytest.raises(ConfigError, match=r"'min'; allowed: mini@0123456789ab, other@1"):
        ask(made, detector="min")


def test_one_number_format_is_never_compared_with_another(made):
    """Scored again in bf16, only those embeddings count."""
    embed(made, {"a": 0, "d": 5}, precision="bf16", scored_at=lakes.START + timedelta(days=1))
    found = ask(made, by="embedding")
    assert names(made, found) == ["d"]
    assert found.key.precision == "bf16"


def test_a_lake_without_scores_says_which_command_to_run(tmp_path):
    """A search by hash still works."""
    made = lakes.lake_of(
        tmp_path / "lake", [Shot(name="a"), Shot(name="b", seed=2)], is_scored=False
    )
    with pytest.raises(InputError, match=r"assay score --lake .*--by phash"):
        ask(made)
    found = ask(made, by="phash")
    assert names(made, found) == ["b"]
    assert (found.key, found.search, found.n_hashes) == (None, None, 1)


def test_an_empty_lake_says_which_command_to_run(tmp_path):
    """An empty lake has nothing to compare with."""
    lake = Lake(tmp_path / "lake")
    with pytest.raises(InputError, match="assay moderate"):
        find_similar(lake, image_query(lake, factories.jpeg(), "x.jpg"))


def test_the_only_image_has_no_neighbours(tmp_path):
    """The answer is empty."""
    made = lakes.lake_of(tmp_path / "lake", [Shot(name="a")])
    for by in ("embedding", "phash", "both"):
        assert ask(made, by=by).neighbours == ()


def test_a_file_with_the_bytes_of_a_stored_image_is_that_image(made):
    """No detector is loaded for it, and it is not its own neighbour."""
    raw = made.lake.image(made.ids["a"])
    query = image_query(made.lake, raw, "found.jpg")
    assert query.image_id == made.ids["a"]
    found = find_similar(made.lake, query, by="embedding")
    assert names(made, found) == ["b", "c", "copy", "d"]
    assert found.query_name == "found.jpg"


def test_a_file_that_is_not_stored_is_compared_by_hash_without_a_detector(made):
    """The same image in another format is at most a few bits away."""
    picture = Image.open(io.BytesIO(made.lake.image(made.ids["a"])))
    raw = factories.encoded(picture, "PNG")
    found = find_similar(made.lake, image_query(made.lake, raw, "a.png"), by="phash", k=2)
    assert names(made, found) == ["a", "copy"]
    assert found.query.image_id is None
    assert found.query.prob_fake is None


def test_a_detector_that_is_another_by_now_is_refused(made):
    """Embeddings of other weights of `mini` are not compared."""
    query = image_query(made.lake, factories.jpeg(seed=77), "new.jpg")
    with pytest.raises(ModelError, match="--by phash"):
        find_similar(made.lake, query)


def test_a_file_is_embedded_as_the_lake_was(tmp_path):
    """The same pixels in other bytes have cosine 1 and distance 0."""
    from assay.tasks.detector.load import load_detector
    from assay.tasks.score import score_shard

    folder = tiny_models.write_timm(tmp_path / "tiny", tiny_models.timm_tensors())
    pictures = {str(n): factories.png(seed=n) for n in range(4)}
    shots = [Shot(name=name, raw=raw, format="PNG") for name, raw in pictures.items()]
    made = lakes.lake_of(tmp_path / "lake", shots, is_scored=False)
    shard = made.lake.scan("images").collect()["shard"][0]
    detector = load_detector(str(folder), device="cpu")
    score_shard(made.lake, shard, list(made.ids.values()), detector, run_id="r", n_workers=1)
    raw = factories.encoded(factories.photo(seed=2), "BMP")
    query = image_query(made.lake, raw, "two.bmp")
    found = find_similar(made.lake, query, detector=str(folder), k=4)
    assert names(made, found)[0] == "2"
    first = found.neighbours[0]
    assert first.similarity == pytest.approx(1, abs=1e-5)
    assert first.hamming_bits == 0
    assert found.query.prob_fake == pytest.approx(first.known.prob_fake, abs=1e-4)
    assert found.query_precision == found.key.precision == detector.precision
    assert found.neighbours[1].similarity < 0.9999
    with pytest.raises(ModelError, match="--detector FOLDER"):
        find_similar(made.lake, query)
    other = tiny_models.write_timm(tmp_path / "other", tiny_models.timm_tensors(seed=9))
    with pytest.raises(ModelError, match="and the lake's scores are of"):
        embed_image(raw, found.key, str(other))


def thumbs_of(made):
    return {
        image_id: thumbnail(made.lake.image(image_id), max_px=IMAGE_PX, max_bytes=60_000)
        for image_id in made.ids.values()
    }


def test_the_sheet_shows_the_query_first_and_each_neighbour(made):
    """Tiles in rows of at least three; the first is framed; a picture's own colours are there."""
    sheet = draw_sheet(ask(made, by="embedding"), thumbs_of(made))
    assert sheet.width == 5 * (IMAGE_PX + 18) + 18
    query = Image.open(io.BytesIO(made.lake.image(made.ids["a"]))).resize((22, 22))
    top = 62 + (IMAGE_PX - round(IMAGE_PX * 440 / 480)) // 2
    drawn = sheet.crop((18, top, 18 + IMAGE_PX, top + round(IMAGE_PX * 440 / 480)))
    difference = np.asarray(drawn.resize((22, 22)), float) - np.asarray(query, float)
    assert np.abs(difference).mean() < 6
    assert sheet.getpixel((16, 62 + 50)) == (11, 87, 164)


def test_a_veiled_sheet_tells_light_from_dark_only(made):
    """Neighbouring pixels hardly differ where the sharp sheet has edges."""
    found = ask(made, by="embedding")
    checks = Image.fromarray(np.kron(np.indices((20, 20)).sum(0) % 2, np.ones((11, 11))) * 255.0)
    small = thumbnail(factories.encoded(checks.convert("L"), "PNG"), max_px=220, max_bytes=60_000)
    thumbs = dict.fromkeys(made.ids.values(), small)

    def steps(sheet):
        inside = np.asarray(sheet.convert("L").crop((30, 74, 226, 270)), float)
        return np.abs(np.diff(inside, axis=1)).max()

    assert steps(draw_sheet(found, thumbs)) > 150
    assert steps(draw_sheet(found, thumbs, is_veiled=True)) < 40


def test_a_picture_that_cannot_be_drawn_leaves_a_frame(made):
    """The sheet is of the same size, with the caption in place."""
    found = ask(made, by="embedding")
    assert draw_sheet(found, {}).size == draw_sheet(found, thumbs_of(made)).size


def test_the_page_is_veiled_and_escapes_what_comes_from_outside(made, tmp_path):
    """The page has no script, no request and blurred images."""
    raw = made.lake.image(made.ids["a"])
    query = image_query(made.lake, raw, "<img src=x onerror=alert(1)>.jpg")
    found = find_similar(made.lake, query)
    page = tmp_path / "s.html"
    assert write_sheet(made.lake, query, found, page) == str(page)
    text = page.read_text()
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count('class="veil"') == text.count('class="sharp"') == 1 + len(found.neighbours)
    # Whoever comes by keyboard sees where they are, though the boxes clip what stands out.
    assert "summary:focus-visible { outline:3px solid var(--accent); outline-offset:-3px" in text
    assert text.count('alt=""') == text.count('class="veil"')


def run(capsys, *arguments):
    """Run the command in this process and return exit code, stdout and stderr."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command_tells_and_draws(made, tmp_path, capsys):
    """A table for people, one JSON object for programs, a PNG where it was asked for."""
    lake, prefix = made.lake.uri, made.ids["a"][:8]
    code, out, err = run(capsys, "similar", prefix, "--lake", lake, "-k", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"query   {made.ids['a'][:12]}")
    assert "exact, 4 images" in out
    assert [line.split()[1] for line in lines[-3:]] == [
        made.ids[name][:12] for name in ("copy", "b", "c")
    ]
    sheet = tmp_path / "sheet.png"
    code, out, _ = run(
        capsys, "similar", prefix, "--lake", lake, "--by", "embedding", "-o", sheet, "--json"
    )
    told = json.loads(out)
    assert code == 0
    assert told["sheet"] == str(sheet)
    assert told["search"]["method"] == "exact"
    assert [row["rank"] for row in told["neighbours"]] == [1, 2, 3, 4]
    assert told["neighbours"][0]["image_id"] == made.ids["b"]
    assert inspect_image(sheet.read_bytes()).format == "PNG"


def test_a_lake_that_is_too_small_is_told(made, capsys):
    """The message says why there are fewer neighbours than requested."""
    _, out, _ = run(capsys, "similar", made.ids["a"], "--lake", made.lake.uri, "-k", "50")
    assert "4 of 50 requested" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["0000000000"], 3, "0000000000"),
        (["abc"], 3, "too short"),
        (["no/such.jpg"], 3, "no file 'no/such.jpg'"),
        ([""], 3, "empty name"),
        (["{folder}"], 3, "is a folder"),
        (["{folder}/text.jpg"], 3, "text.jpg cannot be compared: not_an_image"),
        (["{folder}/cut.jpg"], 3, "cut.jpg cannot be compared: truncated"),
        (["{folder}/empty.jpg"], 3, "empty"),
        (["{a}", "-k", "0"], 2, "allowed: 1 to 1,000,000 neighbours"),
        (["{a}", "-k", "many"], 2, "many"),
        (["{a}", "--by", "colour"], 2, "colour"),
        (["{a}", "--detector", "unknown"], 2, "allowed: mini@0123456789ab"),
        (["{a}", "-o", "{folder}/sheet.gif"], 2, ".png, .html"),
        (["{a}", "-o", "{folder}/sheet"], 2, "ends in nothing"),
        (["{a}", "-o", "{folder}/folder.png"], 2, "is a folder"),
        (["{folder}/own.png", "-o", "{folder}/own.png"], 2, "is an input"),
        (["{a}", "-o", "{folder}/text.jpg/sheet.png"], 4, "cannot write"),
        (["{failed}"], 3, "--by phash"),
        (["{folder}/own.png"], 5, "--by phash"),
    ],
)
def test_bad_input_is_refused_in_one_line(made, tmp_path, capsys, arguments, code, says):
    """Each error has the exit code of its kind and leaves stdout empty."""
    folder = tmp_path / "in"
    (folder / "folder.png").mkdir(parents=True)
    (folder / "text.jpg").write_text("no picture")
    (folder / "cut.jpg").write_bytes(factories.truncated(factories.jpeg(seed=3)))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "own.png").write_bytes(factories.png(seed=50))
    filled = [part.format(folder=folder, **made.ids) for part in arguments]
    got, out, err = run(capsys, "similar", *filled, "--lake", made.lake.uri)
    assert got == code, err
    assert says in err
    assert out == ""
    assert "Traceback" not in err


def test_an_ambiguous_beginning_lists_what_it_may_mean(tmp_path, capsys):
    """Two ids with the same prefix need more characters."""
    made = lakes.lake_of(tmp_path / "lake", [Shot(name="a"), Shot(name="b", seed=2)])
    rows = made.lake.scan("images").collect()
    twin = rows.head(1).with_columns(image_id=pl.lit(made.ids["a"][:20] + "0" * 44))
    made.lake.append("images", twin, txn="twin")
    code, _, err = run(capsys, "similar", made.ids["a"][:10], "--lake", made.lake.uri)
    assert code == 3
    assert "several images begin with" in err
