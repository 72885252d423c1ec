"""Python values are taken as what they are, or refused with what is allowed."""

from __future__ import annotations

import datetime
from pathlib import Path

import polars as pl
import pytest

import assay
from assay.data.errors import ConfigError
from assay.flows.request import Request


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        (iter(["secret"]), "source 1 is a list_iterator, which gives its images once"),
        (pl.LazyFrame({"secret": ["x"]}), r"polars.*LazyFrame; call .collect\(\)"),
        (None, "source 1 is None"),
        (7, "source 1 is an int"),
        ([b"secret", 7], r"\[1\] of source 1 is an int"),
        ({"image": "secret.jpg"}, "source 1 is a dict"),
    ],
)
def test_what_is_no_source_is_refused_by_its_type(
    source: object, seen: str, tmp_path: Path
) -> None:
    """Nothing is read, no lake is made, and no content stands in the message."""
    with pytest.raises(TypeError, match=seen) as refused:
        assay.moderate(source, lake=tmp_path / "lake", detector="mini")  # type: ignore[arg-type]
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 350
    assert not (tmp_path / "lake").exists()


def test_paths_are_taken_wherever_text_is() -> None:
    """And one pattern is one pattern, not a pattern for each of its characters."""
    request = Request(
        lake=Path("/lake"),  # type: ignore[arg-type]
        sources=[Path("/a"), "b"],  # type: ignore[arg-type]
        detector=Path("/weights"),  # type: ignore[arg-type]
        policy=Path("/policy.toml"),  # type: ignore[arg-type]
        exclude="*.png",  # type: ignore[arg-type]
        include=Path("x"),  # type: ignore[arg-type]
    )
    assert (request.lake, request.detector, request.policy) == (
        "/lake", "/weights", "/policy.toml",
    )  # fmt: skip
    assert (request.sources, request.exclude, request.include) == (("/a", "b"), ("*.png",), ("x",))


def test_names_of_files_may_be_any_bytes() -> None:
    """Those that are not UTF-8 reach a request as Python holds them, and leave it unchanged."""
    request = Request(lake="/lake", sources=("a\udcff.jpg",), exclude=("\udc80*",))
    assert request.settings()["sources"] == ("a\udcff.jpg",)
    assert Request(**request.settings()) == request


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("detector", None, "detector is None; allowed: text or a path"),
        ("policy", {"a": 1}, "policy is a dict; allowed: text, a path or None"),
        ("exclude", [1], "exclude is a list; allowed: text, a path, or a list of these"),
        ("exclude", b"x", "exclude is a bytes; allowed"),
        ("max_bytes", True, "max_bytes is a bool; allowed: a whole number"),
        ("max_bytes", 1.5, "max_bytes is a float; allowed: a whole number"),
        ("force_drift", 1, "force_drift is an int; allowed: True or False"),
        ("domain", datetime.UTC, "domain is a datetime.timezone; allowed"),
        ("fail_on_rejected", "half", "fail_on_rejected is a str; allowed: a number or None"),
    ],
)
def test_a_setting_of_another_type_is_refused(setting: str, value: object, message: str) -> None:
    """The message names the setting, the type that was seen and the types that are allowed."""
    with pytest.raises(TypeError, match=message):
        Request(lake="/lake", **{setting: value})  # type: ignore[arg-type]


def test_a_share_is_between_none_and_all() -> None:
    """Percentages are refused rather than taken for a share that nothing reaches."""
    with pytest.raises(
        ConfigError, match=r"fail_on_rejected is 50\.0; allowed: a share from 0 to 1"
    ):
        Request(lake="/lake", fail_on_rejected=50)


@pytest.mark.parametrize("address", [["lake"], None, 7, b"lake"])
def test_a_lake_is_opened_by_text_or_a_path(
    address: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else becomes the name of a folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=type(address).__qualname__):
        assay.Lake(address)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
