"""Methods by name come from the folder and from packages, whose mistakes are reported."""

from importlib.metadata import EntryPoint

import pytest
from pydantic import BaseModel

from assay.data import plugins
from assay.data.errors import ConfigError
from assay.synth.methods import registry
from assay.synth.methods.protocol import Made, Method


class NoSettings(BaseModel):
    """None."""


class Plain(Method[NoSettings]):
    """A method of another package."""

    name = "plain"
    description = "Nothing."
    settings_model = NoSettings

    def make(self, job, settings, parent, tools):
        """Return an empty result."""
        return Made(raw=b"", label="fake")


class Unfinished(Method[NoSettings]):
    """A method without `make`."""

    name = "plain"


def with_members(**members):
    return type("Other", (Plain,), members)


@pytest.fixture
def added(monkeypatch):
    """Add an object as the method `plain` of a package."""

    def add(loaded, name="plain"):
        entry = EntryPoint(name, "somebody.method:METHOD", registry.GROUP)
        monkeypatch.setattr(plugins, "entries", lambda _group: {name: entry})
        monkeypatch.setattr(plugins, "load", lambda _group, _name: loaded)

    return add


def test_the_files_of_the_folder_are_the_methods():
    """Those without parents come first."""
    assert registry.method_names()[:2] == ("text", "aligned")
    assert set(registry.method_names()) >= {
        "text",
        "image-to-image",
        "inpaint",
        "control",
        "aligned",
        "launder",
        "attack",
        "latent-attack",
    }
    assert all(registry.method_of(name).name == name for name in registry.method_names())


@pytest.mark.parametrize("loaded", [Plain, Plain()])
def test_a_package_adds_a_class_or_an_instance(added, loaded):
    """Its name follows the built-in ones."""
    added(loaded)
    assert registry.method_names()[-1] == "plain"
    assert isinstance(registry.method_of("plain"), Plain)
    assert registry.package_of("plain") == "the package of somebody.method"


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        (None, "which is None; allowed: a subclass of assay.synth.methods.protocol.Method"),
        (Unfinished, "which is 'a class without make'; allowed"),
        (with_members(name="other"), "whose name is 'other'; use the same name"),
        (with_members(description=None), "whose description is missing; define it"),
        (with_members(settings_model=dict), "whose settings_model is not a pydantic model"),
        (
            with_members(
                settings_model=type("Own", (NoSettings,), {"__annotations__": {"of": str}})
            ),
            "whose setting of is also a field of every block; rename it",
        ),
    ],
)
def test_a_broken_method_of_a_package_is_said_with_the_package(added, loaded, said):
    """The error is raised on use and shown in the list; other methods still work."""
    added(loaded)
    with pytest.raises(ConfigError, match=f'somebody.method adds "plain" to assay.methods, {said}'):
        registry.method_of("plain")
    row = registry.listed_methods()[-1]
    assert row["description"].startswith("cannot be used: ")
    assert registry.method_of("text").name == "text"


def test_a_package_cannot_take_a_name_of_assays(added):
    """Otherwise the meaning of a plan would depend on what is installed."""
    added(Plain, name="text")
    with pytest.raises(
        ConfigError, match='adds the method "text", which is the name of a built-in one'
    ):
        registry.method_of("text")
