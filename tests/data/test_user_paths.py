"""Paths given by users: missing homes, invalid output files, empty and odd settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from assay.data.commands import command
from assay.data.errors import AssayError, ConfigError, StoreError
from assay.data.store.lake import Lake
from assay.data.store.open_store import open_store
from assay.data.store.places.whole_folder import folder_at
from assay.data.toml_file import read_toml
from assay.data.user_paths import from_home, require_output
from assay.flows.blocks.names import allow_blocks
from assay.flows.process.prefect_home import require_settings
from assay.flows.request import Request
from assay.synth.mini_training.making import MakeSettings, make_mini_sd3
from assay.tasks.bench.sample import sample


def test_a_home_of_nobody_is_a_name_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert from_home("~/a") == Path("/home/me/a")
    assert from_home("~no-such-user/a") == Path("~no-such-user/a")


def test_no_file_takes_the_place_of_a_device_a_pipe_a_folder_or_its_own_input(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "picture.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "picture.png")
    (tmp_path / "out").symlink_to("/dev/null")
    refused = (
        "/dev/null",
        "/dev/full",
        "/dev/stdout",
        "/dev/shm/../null",
        "/proc/x",
        "a\0b",
        tmp_path,
    )
    for out in (*refused, tmp_path / "pipe", tmp_path / "out"):
        with pytest.raises(ConfigError, match="give"):
            require_output(Path(out))
    with pytest.raises(ConfigError, match=r"picture[.]png is an input"):
        require_output(tmp_path / "picture.png", inputs=[tmp_path / "link.png"])
    require_output(tmp_path / "picture.png", inputs=["c4bbda5b96ec"])
    require_output(tmp_path / "new" / "picture.png")
    require_output(Path("/dev/shm/picture.png"))


@pytest.mark.parametrize("to", ["", "/", "a\0b", "s3://bucket/x", Path("gs://b/x"), "x" * 300])
def test_a_place_that_cannot_be_a_folder_is_refused_before_anything_is_written(to: Any) -> None:
    with pytest.raises(ConfigError, match=r"give|publish to a folder"):
        folder_at(to)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_bytes", 0),
        ("max_pixels", -1),
        ("n_workers", 0),
        ("policy", ""),
        ("detector", ""),
        ("lake", ""),
        ("roots", ("",)),
        ("sources", ("a", "")),
        ("domain", "a\0b"),
        ("include", ("a\0b",)),
    ],
)
def test_numbers_out_of_range_and_empty_names_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"allowed: 1 (or more|to 1024)|is empty; give|NUL"):
        Request(**{"lake": "l", name: value})


def test_an_empty_address_names_no_lake() -> None:
    with pytest.raises(StoreError, match="empty"):
        open_store("")


def test_a_file_without_an_end_is_not_read_whole() -> None:
    with pytest.raises(ValueError, match="at most 16,777,216 bytes"):
        read_toml(Path("/dev/zero"))


def test_a_printed_command_names_the_lake_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("score", lake="my lake") == f"assay score --lake '{tmp_path}/my lake'"
    assert command("score", lake="s3://b/l") == "assay score --lake s3://b/l"
    allow_blocks()
    assert command("score", lake="block:nightly") == "assay score --lake block:nightly"


def test_what_a_training_reads_last_is_checked_before_it_begins(tmp_path: Path) -> None:
    for name in ("photos", "held-out"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (64, 64)).save(tmp_path / name / "a.png")
    told: list[str] = []
    for texts, held_out in (("none.txt", "held-out"), ("texts.txt", "none")):
        (tmp_path / "texts.txt").write_text("a house\n")
        settings = MakeSettings(
            photos=(tmp_path / "photos",),
            held_out=(tmp_path / held_out,),
            texts=tmp_path / texts,
            out=tmp_path / "out",
        )
        with pytest.raises(AssayError, match="none"):
            make_mini_sd3(settings, on_progress=told.append)
    assert not told


@pytest.mark.parametrize("n", [0, -1, 10**30])
def test_a_number_of_pictures_to_compare_is_in_its_range(tmp_path: Path, n: int) -> None:
    with pytest.raises(ConfigError, match="allowed: 1 to 1,000,000"):
        sample(Lake(tmp_path / "lake"), n)


@pytest.mark.parametrize(("name", "value"), [("LOGGING_LEVEL", "nope"), ("HOME", "/etc/passwd")])
def test_odd_settings_of_prefect_are_told_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PREFECT_{name}", value)
    with pytest.raises(ConfigError, match=r"LoggingSettings level|set PREFECT_HOME"):
        require_settings()
