"""Anything that makes a picture of an ask can stand in for a diffusers pipeline."""

import base64
import http.server
import json
import threading

import factories
import numpy as np
import pytest

from assay.data.errors import SynthError
from assay.synth.dct import blend_in_dct
from assay.synth.generator import Ask, CallableGenerator, FolderGenerator, HttpGenerator

RED = np.full((8, 9, 3), (200, 10, 20), np.uint8)


def test_a_function_is_a_generator():
    """Arrays and pictures alike; anything else is refused by name."""
    assert (CallableGenerator(generator_id="f", function=lambda _: RED).make(Ask()) == RED).all()
    drawn = CallableGenerator(generator_id="f", function=lambda _: factories.photo())
    assert drawn.make(Ask()).shape == (64, 96, 3)
    bad = CallableGenerator(generator_id="floats", function=lambda _: RED / 255)
    with pytest.raises(SynthError, match="floats gave an array of float64"):
        bad.make(Ask())


def test_a_folder_of_finished_pictures_is_a_generator(tmp_path):
    """The seed picks; the same seed picks the same."""
    for index in range(3):
        factories.photo(seed=index).save(tmp_path / f"{index}.png")
    folder = FolderGenerator(folder=tmp_path, generator_id="studio")
    picked = [folder.make(Ask(seed=seed)) for seed in (0, 1, 3)]
    assert (picked[0] == picked[2]).all()
    assert (picked[0] != picked[1]).any()
    with pytest.raises(SynthError, match="holds no pictures"):
        FolderGenerator(folder=tmp_path / "none", generator_id="x").check(Ask())


@pytest.fixture
def service():
    """A service that answers with a picture, with JSON, or with an error, by its path."""
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
            elif self.path == "/text":
                raw, kind = b"not a picture", "text/plain"
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_a_service_is_a_generator(service):
    """Its answer may be a picture or JSON; the ask's plain fields are sent."""
    url, asked = service
    for path in ("/", "/json"):
        made = HttpGenerator(url=url + path, generator_id="remote").make(
            Ask(prompt="a dog", seed=4, parent_rgb=RED, strength=0.5)
        )
        np.testing.assert_array_equal(made, np.asarray(factories.photo()))
    assert {"prompt": "a dog", "seed": 4, "strength": 0.5}.items() <= asked[0].items()
    assert base64.b64decode(asked[0]["image"])[1:4] == b"PNG"


@pytest.mark.parametrize("path", ["/busy", "/text"])
def test_a_service_that_gives_no_picture_is_a_failed_row(service, path):
    """Named by its address."""
    with pytest.raises(SynthError, match="gave no picture"):
        HttpGenerator(url=service[0] + path, generator_id="remote").make(Ask())


@pytest.mark.parametrize("size", [(16, 24), (13, 21)])
def test_a_blend_by_frequency_runs_from_one_picture_to_the_other(size):
    """Nothing of it gives the photo, all of it the other; half has half of each block's energy."""
    photo = np.asarray(factories.noise(size=size))
    other = np.asarray(factories.noise(seed=1, size=size))
    np.testing.assert_array_equal(blend_in_dct(photo, other, share=0, seed=0), photo)
    np.testing.assert_array_equal(blend_in_dct(photo, other, share=1, seed=0), other)
    half = blend_in_dct(photo, other, share=0.5, seed=0).astype(float)
    assert 0 < np.abs(half - photo).mean() < np.abs(other.astype(float) - photo).mean()
    with pytest.raises(SynthError, match="allowed: 0 to 1"):
        blend_in_dct(photo, other, share=2, seed=0)
