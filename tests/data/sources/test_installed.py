"""Sources of installed packages are listed like others, and their failures stay isolated."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path

import pytest
from plugin_package import PROJECT

from assay.data import plugins
from assay.data.errors import ConfigError, InputError, UnreadableImage
from assay.data.sources.find import Item, SourceOptions, find_items, kind_of, read_item
from assay.data.sources.items import Address
from assay.data.vocabulary import Reason

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "add-a-source.md"


def listed(*sources: str, **options) -> list[Item]:
    return list(find_items(list(sources), SourceOptions(**options)))


@pytest.fixture
def adding(tmp_path, monkeypatch):
    """Add a source with a name and a class body, as a package would."""
    place = tmp_path / "site"

    def add(name: str, body: str) -> None:
        about = place / "odd_package-2.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-package\nVersion: 2.0\n")
        (about / "entry_points.txt").write_text(f"[assay.sources]\n{name} = odd_module:Odd\n")
        (place / "odd_module.py").write_text(
            "from test_installed_parts import *\n\nclass Odd:\n"
            + "".join(f"    {line}\n" for line in body.splitlines())
        )
        (place / "test_installed_parts.py").write_text(_PARTS)
        monkeypatch.syspath_prepend(str(place))
        plugins.forget()

    yield add
    for module in ("odd_module", "test_installed_parts"):
        sys.modules.pop(module, None)
    monkeypatch.undo()
    plugins.forget()


_PARTS = """
from dataclasses import dataclass

from assay.data.errors import InputError
from assay.data.sources.items import Item

@dataclass(frozen=True)
class At:
    raw: object = b"x"

    def read(self, options):
        if isinstance(self.raw, Exception):
            raise self.raw
        return self.raw

def item(name, raw=b"x", label=None):
    return Item(source_uri=f"odd://{name}", fingerprint="1", label=label, domain=None,
                address=At(raw))
"""

_CHECK = "def check(self, ref, options): pass\n"


def test_its_items_are_listed_with_labels(plugin):
    """Settings of labels and domains apply to installed sources."""
    items = listed("example://3", domain="art")
    assert [(item.source_uri, item.label, item.domain) for item in items] == [
        ("example://0", "real", "art"),
        ("example://1", "fake", "art"),
        ("example://2", "real", "art"),
    ]
    assert kind_of("EXAMPLE://3") == "installed"
    assert {item.label for item in listed("example://3", label_from="none")} == {"unsure"}
    assert read_item(pickle.loads(pickle.dumps(items[1])), SourceOptions())[:4] == b"\x89PNG"


def test_a_text_that_it_refuses_stops_the_run(plugin):
    """A refused reference stops the run before the first item, with the source's message."""
    with pytest.raises(InputError, match="give a number from 1 to 10000, as in example://10"):
        find_items(["example://many"], SourceOptions())


def test_a_scheme_that_nobody_reads_names_those_that_are_read(plugin):
    """The message lists all schemes, installed ones included."""
    with pytest.raises(InputError, match="paths, file, http, https, s3, gs, az, hf, example"):
        find_items(["gopher://x"], SourceOptions())


def test_a_suffix_is_read_whatever_lies_there(adding, tmp_path):
    """Files and folders with the suffix go to the source, alone and by a glob."""
    adding(
        ".odd", _CHECK + "def items(self, ref, options): yield item(ref.path.rpartition('/')[2])"
    )
    (tmp_path / "in" / "a.odd").mkdir(parents=True)
    (tmp_path / "in" / "B.ODD").write_bytes(b"anything")
    for source in (f"{tmp_path}/in/*", f"{tmp_path}/in/*.odd"):
        assert [item.source_uri for item in listed(source)] == ["odd://B.ODD", "odd://a.odd"]
    assert [item.source_uri for item in listed((tmp_path / "in" / "a.odd").as_uri())] == [
        "odd://a.odd"
    ]


def test_what_it_listed_before_it_failed_is_kept(adding, tmp_path):
    """A failure gives one item with its position; the next source is listed in full."""
    adding("odd", _CHECK + "def items(self, ref, options):\n    yield item(1)\n    1 / 0")
    (tmp_path / "a.jpg").write_bytes(b"x")
    good, bad, other = listed("odd://x", str(tmp_path / "a.jpg"))
    assert (good.source_uri, good.problem) == ("odd://1", None)
    assert bad.source_uri == "odd://x"
    assert bad.problem == (
        Reason.FETCH_FAILED,
        'after 1 item, the source "odd" of odd-package 2.0 failed: ZeroDivisionError: division by'
        " zero",
    )
    assert other.source_uri.endswith("a.jpg")


def test_what_is_no_item_is_a_rejected_row(adding):
    """An invalid item is a rejected row, and later items follow."""
    adding(
        "odd",
        _CHECK + "def items(self, ref, options):\n    yield 'text'\n    yield item('ä')\n"
        "    yield item(3, label='sparrow')",
    )
    text, uri, good = listed("odd://x")
    assert text.source_uri == "odd://x#1"
    assert text.problem is not None
    assert text.problem == (
        Reason.BAD_ROW,
        'the source "odd" of odd-package 2.0 gives str, not an Item',
    )
    assert uri.problem is not None
    assert "percent-encoded URI" in uri.problem[1]
    assert (good.label, good.note) == (None, "label not known: sparrow")


@pytest.mark.parametrize(
    ("raw", "detail"),
    [("None", "gives NoneType, not bytes"), ("KeyError('k')", "failed: KeyError: 'k'")],
)
def test_bytes_that_it_cannot_give_are_a_reason(adding, raw, detail):
    """Any failure of an address is a reason that the next run retries."""
    adding("odd", _CHECK + f"def items(self, ref, options): yield item(1, {raw})")
    (item,) = listed("odd://x")
    with pytest.raises(UnreadableImage, match=re.escape(detail)) as failure:
        read_item(item, SourceOptions())
    assert failure.value.reason is Reason.FETCH_FAILED


def test_a_check_that_fails_stops_the_run_and_names_the_package(adding):
    """A failing check stops the run before anything is ingested."""
    adding("odd", "def check(self, ref, options): 1 / 0\ndef items(self, ref, options): return []")
    with pytest.raises(InputError, match=r"odd://x: the source .odd. of odd-package 2\.0 failed"):
        find_items(["odd://x"], SourceOptions())


def test_a_class_that_is_no_source_is_refused(adding):
    """The message names the missing methods."""
    adding("odd", "pass")
    with pytest.raises(ConfigError, match="has no methods check and items"):
        find_items(["odd://x"], SourceOptions())


def test_a_broken_package_harms_no_other_source(adding, tmp_path):
    """A package is imported only if its source is requested."""
    adding("odd", "raise RuntimeError('broken')")
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert len(listed(str(tmp_path / "a.jpg"))) == 1
    with pytest.raises(ConfigError, match=r"odd-package 2\.0 adds .odd. to assay\.sources"):
        find_items(["odd://x"], SourceOptions())


def test_an_address_keeps_the_protocol(adding):
    """The wrapped address is readable by the protocol."""
    adding("odd", _CHECK + "def items(self, ref, options): yield item(1)")
    address: Address = listed("odd://x")[0].address
    assert address.read(SourceOptions()) == b"x"


def test_the_page_quotes_the_package_that_is_tested():
    """The page's code and entry point equal those of the package in tests/plugin."""
    text = PAGE.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert code == (PROJECT / "assay_plugin_example" / "source.py").read_text()
    (entry,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert entry in (PROJECT / "pyproject.toml").read_text()
