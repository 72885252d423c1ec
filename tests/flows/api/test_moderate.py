"""The face that Python sees: lazy names, one call for a run, clear errors."""

import factories
import pytest

import assay
from assay.data.errors import ConfigError, InputError
from assay.flows.process.prefect_home import configured_api_url
from assay.tasks.browse.find_image import find_image
from assay.tasks.runs.run_record import find_run


@pytest.fixture(scope="module")
def moderated(tmp_path_factory):
    """Create a lake by one call on a folder with two images."""
    here = tmp_path_factory.mktemp("public")
    (here / "pictures").mkdir()
    (here / "pictures" / "a.jpg").write_bytes(factories.jpeg(seed=1, size=(640, 480)))
    (here / "pictures" / "b.jpg").write_bytes(factories.jpeg(seed=2))
    result = assay.moderate(here / "pictures", lake=here / "lake", detector="mini", quiet=True)
    return result, assay.Lake(here / "lake")


def test_one_call_is_a_run(moderated):
    """`assay.moderate` gives counts, and rows with a score and a decision for each image."""
    result, lake = moderated
    assert (result.items, result.stored, result.scored) == (2, 2, 2)
    assert result.to_json()["precision"] == "fp32"
    assert f"by        {result.detector} in fp32 on {result.backend}" in result.summary()
    scores = result.scores()
    assert scores["prob_fake"].is_between(0, 1).all()
    assert lake.scan("scores").collect()["embedding"].list.len().n_unique() == 1


def test_a_picture_too_small_to_judge_goes_to_review(moderated):
    """Of 640 x 480 and 96 x 64 pixels, only the second is sent to people for its size."""
    result, _ = moderated
    reasons = dict(result.scores().select("source_uri", "reasons").iter_rows())
    small = {uri.rsplit("/", 1)[-1] for uri, why in reasons.items() if "low_resolution" in why}
    assert small == {"b.jpg"}


def test_an_unknown_setting_is_named(tmp_path):
    """A misspelt setting is an error that lists the right ones."""
    with pytest.raises(ConfigError, match=r"unknown setting 'detektor'.*detector"):
        assay.moderate(tmp_path, lake=tmp_path / "lake", detektor="mini")


def test_public_names_are_listed_and_others_refused():
    """`dir(assay)` completes in a notebook, and a typo is an AttributeError as ever."""
    assert {"Lake", "moderate", "load_ipython_extension", "__version__"} <= set(dir(assay))
    with pytest.raises(AttributeError, match="no attribute 'moderat'"):
        assay.moderat  # noqa: B018


def test_an_image_is_found_by_the_beginning_of_its_id(moderated):
    """Six characters will do when they are unique; fewer, or none that fit, are errors."""
    _, lake = moderated
    image_id = lake.scan("images").collect()["image_id"][0]
    assert find_image(lake, image_id[:8].upper()) == image_id
    with pytest.raises(InputError, match="too short"):
        find_image(lake, image_id[:3])
    with pytest.raises(InputError, match="no image"):
        find_image(lake, "f" * 64)


def test_the_latest_run_is_found_by_name(moderated):
    """`latest` is the run that was made; another id names those that there are."""
    result, lake = moderated
    assert find_run(lake, "latest").run_id == result.run_id
    with pytest.raises(InputError, match=result.run_id):
        find_run(lake, "never")


def test_the_server_is_found_where_prefect_keeps_it(tmp_path, monkeypatch):
    """The environment wins, then the active profile; without either there is no server."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert configured_api_url() is None
    (tmp_path / "profiles.toml").write_text(
        'active = "team"\n[profiles.team]\nPREFECT_API_URL = "http://prefect.example/api"\n'
    )
    assert configured_api_url() == "http://prefect.example/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert configured_api_url() == "http://127.0.0.1:1/api"
