"""Anything that makes an image of a request works in place of a diffusers pipeline."""

import base64
import contextlib
import http.server
import json
import threading

import factories
import numpy as np
import pytest
from PIL import Image

from assay.data.errors import GeneratorFailed, SynthError
from assay.synth.dct import blend_in_dct
from assay.synth.generators.guard import MAX_FAILURES_IN_A_ROW, GuardedGenerator
from assay.synth.generators.protocol import (
    CallableGenerator,
    FolderGenerator,
    HttpGenerator,
    ImageRequest,
)

RED = np.full((8, 9, 3), (200, 10, 20), np.uint8)


def test_a_function_is_a_generator():
    """It may return an array or a Pillow image; other values are refused by name."""
    assert (
        CallableGenerator(generator_id="f", function=lambda _: RED).make(ImageRequest()) == RED
    ).all()
    drawn = CallableGenerator(generator_id="f", function=lambda _: factories.photo())
    assert drawn.make(ImageRequest()).shape == (64, 96, 3)
    bad = CallableGenerator(generator_id="floats", function=lambda _: RED / 255)
    with pytest.raises(SynthError, match="floats returned an array of float64"):
        bad.make(ImageRequest())


def test_a_folder_of_finished_pictures_is_a_generator(tmp_path):
    """The seed selects the image, and the same seed selects the same one."""
    for index in range(3):
        factories.photo(seed=index).save(tmp_path / f"{index}.png")
    folder = FolderGenerator(folder=tmp_path, generator_id="studio")
    picked = [folder.make(ImageRequest(seed=seed)) for seed in (0, 1, 3)]
    assert (picked[0] == picked[2]).all()
    assert (picked[0] != picked[1]).any()
    with pytest.raises(SynthError, match="has no images"):
        FolderGenerator(folder=tmp_path / "none", generator_id="x").check(ImageRequest())


def told(image):
    return json.dumps({"images": [image]}).encode()


ANSWERS = {
    "/text": (b"not a picture", "text/plain", "not_an_image"),
    "/html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "text/html", "not_an_image"),
    "/empty": (b"", "image/png", "empty"),
    "/huge": (factories.png_bomb(width=20_000, height=20_000), "image/png", "too_many_pixels"),
    "/cut": (factories.truncated(factories.jpeg()), "image/jpeg", "truncated"),
    "/broken": (told("iVBORw0KG!!!"), "application/json", "invalid base64 in its JSON"),
    "/none": (told(None), "application/json", "no image in its JSON"),
    "/list": (b"[1, 2]", "application/json", "no image in its JSON"),
    "/nested": (b"[" * 100_000, "application/json", "no image in its JSON"),
    "/no-json": (b"{", "application/json", "no image in its JSON"),
}


@pytest.fixture
def service():
    """Run a service that answers with an image, JSON or an error, by path."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(json.loads(body))
            raw, kind, code = factories.encoded(factories.photo(), "PNG"), "image/png", 200
            if self.path == "/json":
                told = {"images": [base64.b64encode(raw).decode()]}
                raw, kind = json.dumps(told).encode(), "application/json"
            elif self.path == "/busy":
                raw, kind, code = b"busy", "text/plain", 503
            elif self.path in ANSWERS:
                raw, kind = ANSWERS[self.path][:2]
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_a_service_is_a_generator(service):
    """It may answer with an image or JSON, and receives the request's plain fields."""
    url, asked = service
    for path in ("/", "/json"):
        made = HttpGenerator(url=url + path, generator_id="remote").make(
            ImageRequest(prompt="a dog", seed=4, parent_rgb=RED, strength=0.5)
        )
        np.testing.assert_array_equal(made, np.asarray(factories.photo()))
    assert {"prompt": "a dog", "seed": 4, "strength": 0.5}.items() <= asked[0].items()
    assert base64.b64decode(asked[0]["image"])[1:4] == b"PNG"


def test_a_service_that_gives_no_picture_fails_with_its_reason(service):
    """The message names the URL, whatever the answer, also if nothing listens."""
    reasons = {path: answer[2] for path, answer in ANSWERS.items()} | {"/busy": "answered 503"}
    for path, reason in reasons.items():
        with pytest.raises(GeneratorFailed, match=rf"{path} returned no image: .*{reason}"):
            HttpGenerator(url=service[0] + path, generator_id="remote").make(ImageRequest())
    for url in ("http://127.0.0.1:9/", "htp://x/", "http://[::1/", "http://name:port/"):
        with pytest.raises(GeneratorFailed, match=r"failed: \w+"):
            HttpGenerator(url=url, generator_id="remote").make(ImageRequest())


def test_a_picture_as_a_data_uri_is_taken(service):
    """Line breaks in the base64 are accepted."""
    raw = factories.png()
    ANSWERS["/uri"] = (
        told("data:image/png;base64," + base64.encodebytes(raw).decode()),
        "application/json",
        "",
    )
    made = HttpGenerator(url=service[0] + "/uri", generator_id="remote").make(ImageRequest())
    np.testing.assert_array_equal(made, np.asarray(factories.photo()))
    del ANSWERS["/uri"]


@pytest.mark.parametrize(
    "error",
    [KeyError("colour"), TypeError("no"), OSError(5, "disk"), TimeoutError(), StopIteration],
)
def test_whatever_a_function_raises_is_the_failure_of_one_picture(error):
    """The message names the type; an interrupt is passed on."""

    def fails(_ask):
        raise error

    with pytest.raises(GeneratorFailed, match=r"f failed: (Key|Type|OS|Timeout)?(Error|StopIt)"):
        CallableGenerator(generator_id="f", function=fails).make(ImageRequest())

    def stops(_ask):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CallableGenerator(generator_id="f", function=stops).make(ImageRequest())


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (None, "None"),
        ("a.png", "a str"),
        (RED[..., 0], r"uint8 \(8, 9\)"),
        (RED.astype(np.uint16), "uint16"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000, 3)), "image of 20000x20000 px"),
        (Image.new("1", (20_000, 20_000)), "image of 20000x20000 px"),
    ],
    ids=["none", "name", "grey", "deep", "empty", "huge array", "huge picture"],
)
def test_what_is_no_picture_is_refused_by_name(answer, seen):
    """The message names the allowed types."""
    generator = CallableGenerator(generator_id="f", function=lambda _: answer)
    with pytest.raises(GeneratorFailed, match=rf"f returned .*{seen}.*; allowed"):
        generator.make(ImageRequest())


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.fromarray(np.full((4, 4), 98 * 257, np.uint16)), (98, 98, 98)),
        (Image.new("RGBA", (4, 4), (9, 9, 9, 0)), (255, 255, 255)),
        (Image.new("F", (4, 4), 0.5), (127, 127, 127)),
        (Image.new("RGB", (4, 4), (0, 255, 0)).quantize(2), (0, 255, 0)),
    ],
    ids=["16 bits", "transparent", "float", "palette"],
)
def test_an_answer_of_any_mode_is_what_it_shows(image, colour):
    """The pixels are those of a file with that image."""
    made = CallableGenerator(generator_id="f", function=lambda _: image).make(ImageRequest())
    assert (made == colour).all()


def test_a_generator_that_fails_without_end_is_not_asked_any_more():
    """Twenty failures in a row stop it, and one success resets the count."""
    asked = []

    def fails_but_once(ask):
        asked.append(ask.seed)
        if ask.seed == 5:
            return RED
        raise TimeoutError("no answer")

    guarded = GuardedGenerator(CallableGenerator(generator_id="f", function=fails_but_once))
    for seed in range(5 + 1 + MAX_FAILURES_IN_A_ROW):
        with contextlib.suppress(GeneratorFailed):
            guarded.make(ImageRequest(seed=seed))
    with pytest.raises(
        GeneratorFailed, match=r"not tried: f failed 20 times.*no answer.*run again"
    ):
        guarded.check(ImageRequest(seed=99))
    assert asked == list(range(26))


@pytest.mark.parametrize("size", [(16, 24), (13, 21)])
def test_a_blend_by_frequency_runs_from_one_picture_to_the_other(size):
    """Share 0 is the photo, 1 the other image, and 0.5 has half the energy of each block."""
    photo = np.asarray(factories.noise(size=size))
    other = np.asarray(factories.noise(seed=1, size=size))
    np.testing.assert_array_equal(blend_in_dct(photo, other, share=0, seed=0), photo)
    np.testing.assert_array_equal(blend_in_dct(photo, other, share=1, seed=0), other)
    half = blend_in_dct(photo, other, share=0.5, seed=0).astype(float)
    assert 0 < np.abs(half - photo).mean() < np.abs(other.astype(float) - photo).mean()
    with pytest.raises(SynthError, match="allowed: 0 to 1"):
        blend_in_dct(photo, other, share=2, seed=0)
