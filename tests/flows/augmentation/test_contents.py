"""What a method needs decides its pictures' keys by content, not by name."""

import pytest
from pydantic import BaseModel

from assay.data.errors import SynthError
from assay.flows.augmentation import contents, loaded_tools
from assay.flows.augmentation.loaded_tools import LoadedTools
from assay.flows.request import Request
from assay.synth.generators.protocol import CallableGenerator
from assay.synth.methods.protocol import Made, Method, Needs
from assay.synth.plan.plan import Block, Parents, Plan


class OverlaySettings(BaseModel):
    """A file for all, pictures for each."""

    overlay: str
    pictures: str | None = None
    generator: str | None = None


class Overlay(Method[OverlaySettings]):
    """A method of somebody's, in its second version."""

    name = "overlay"
    description = "A file laid over the parent."
    settings_model = OverlaySettings

    def needs(self, settings):
        """Return the files, and a generator where one is named."""
        return Needs(
            generator=settings.generator,
            files={"overlay": settings.overlay},
            pictures={"pictures": settings.pictures} if settings.pictures else {},
            contents={"version": 2},
        )

    def make(self, job, settings, parent, tools):
        """Return nothing much."""
        return Made(raw=b"", label="fake")


@pytest.fixture
def tools_of(tmp_path, monkeypatch):
    """Tools of a run that has looked at a plan with these settings."""
    monkeypatch.setattr(contents, "method_of", lambda _name: Overlay())
    monkeypatch.setattr(Block, "made_by", property(lambda _block: Overlay()))
    painter = CallableGenerator(generator_id="painter@1", function=lambda request: None)

    def tools(**settings):
        made = LoadedTools(Request(lake="x"), generators={"painter": painter})
        block = Block(name="overlay", method="overlay", settings=settings)
        made.prepare(Plan(seed=0, parents=Parents(), blocks=(block,), folder=tmp_path))
        return made

    return tools


def test_a_file_of_the_plan_counts_by_its_bytes(tools_of, tmp_path):
    """Under any name; another content is another picture, and what stands in no setting counts."""
    for name, text in (("a.png", "same"), ("b.png", "same"), ("c.png", "other")):
        (tmp_path / name).write_text(text)
    pixels = []
    for name in ("a.png", "b.png", "c.png"):
        found = tools_of(overlay=name).contents_of("overlay", {"overlay": name}, "p")
        pixels.append(dict(found.pixels))
        assert found.recorded == {}
    assert pixels[0] == pixels[1] != pixels[2]
    assert pixels[0]["version"] == 2


def test_a_picture_for_each_parent_counts_by_its_own_bytes(tools_of, tmp_path):
    """One that is not there is another picture once it is."""
    (tmp_path / "a.png").write_text("same")
    (tmp_path / "each").mkdir()
    (tmp_path / "each" / "p.png").write_text("for p")
    settings = {"overlay": "a.png", "pictures": "each"}
    tools = tools_of(**settings)
    of_p, of_q = (tools.contents_of("overlay", settings, parent) for parent in ("p", "q"))
    assert of_q.pixels["pictures"] == "absent" != of_p.pixels["pictures"]
    assert of_p.recorded is None


def test_a_generator_of_any_method_counts_by_what_it_is(tools_of, tmp_path):
    """By its id, which rows have too."""
    (tmp_path / "a.png").write_text("same")
    settings = {"overlay": "a.png", "generator": "painter"}
    found = tools_of(**settings).contents_of("overlay", settings, "p")
    assert found.pixels["generator"] == ["painter@1", None]
    assert found.recorded == {"generator": "painter@1", "lora": None}


def test_a_file_that_is_not_there_is_said_before_the_work(tools_of):
    """By its name in the plan."""
    with pytest.raises(SynthError, match=r"there is no file 'none.png'; name an existing one"):
        tools_of(overlay="none.png")


def test_no_run_loads_what_only_sweeps(tools_of, tmp_path, monkeypatch):
    """Of a sweep over settings that load nothing, one set of settings is looked at."""
    (tmp_path / "a.png").write_text("same")
    seen = []
    monkeypatch.setattr(
        loaded_tools.LoadedTools, "_load", lambda _self, needs: seen.append(needs.files["overlay"])
    )
    tools_of(overlay=["a.png", "b.png", "c.png"])
    assert seen == ["a.png"]
