"""A watch announces each complete file once, whatever stops it when."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ingesting import picture, put

from assay.data.errors import ConfigError, InputError, StoreError
from assay.data.sources.items import SourceOptions
from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.flows.events.event import Event
from assay.flows.events.watch import watch as watching
from assay.flows.events.watch.files_below import FileState
from assay.flows.events.watch.seen_files import SeenFiles
from assay.flows.events.watch.watch import Watch, state_folder, watch
from assay.flows.request import Request
from assay.flows.run import run


def settings(tmp_path: Path, **more: object) -> Watch:
    values = {"prefix": str(tmp_path / "in"), "state": tmp_path / "state", "settle_s": 0.0} | more
    return Watch(**values)  # type: ignore[arg-type]


def look(tmp_path: Path, **more: object) -> list[Event]:
    """Look once, with a server that takes everything."""
    return list(watch(settings(tmp_path, **more), lambda _: None))


def names(event: Event) -> list[str]:
    """Return the names of the files in an event's listing."""
    lines = Path(event.payload["source"]).read_text().splitlines()
    return [json.loads(line).rpartition("/")[2] for line in lines]


def test_what_is_new_or_changed_is_announced_once(tmp_path: Path) -> None:
    """By a listing that a run takes as its source, with counts and the batch of that run."""
    put(tmp_path / "in", {"a.png": picture(1), "sub/b.png": picture(2)})
    (event,) = look(tmp_path)
    assert event.name == "assay.batch.announced"
    assert Path(event.payload["source"]).name.startswith("in-00000001-")
    assert (event.payload["files"], names(event)) == (2, ["a.png", "b.png"])
    assert event.payload["bytes"] == len(picture(1)) + len(picture(2))
    assert look(tmp_path) == []
    put(tmp_path / "in", {"a.png": picture(3), "c.png": picture(4)})
    (event,) = look(tmp_path)
    assert names(event) == ["a.png", "c.png"]
    lake = str(tmp_path / "lake")
    result = run(Request(lake=lake, sources=(event.payload["source"],)), flow="ingest")
    assert (result.items, result.stored) == (2, 2)
    assert result.batch_id == event.payload["batch_id"]
    whole = run(Request(lake=lake, sources=(str(tmp_path / "in"),)), flow="ingest")
    assert (whole.items, whole.stored) == (3, 1)
    uris = Lake(lake, create=False).scan("sightings").collect()["source_uri"]
    assert (tmp_path / "in" / "a.png").as_uri() in uris.to_list()


def test_unfinished_files_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes waits until it has not for a while, under whatever name it came."""
    now_s = time.time()
    monkeypatch.setattr(watching.time, "time", lambda: now_s)
    odd = {".hidden.png": b"h", "a.png.part": b"p", "b.png.crdownload": b"c"}
    put(tmp_path / "in", {"whole.png": picture(1), **odd})
    for minute in (0, 0.5):
        now_s = time.time_ns() / 1e9 + 60 * minute
        assert look(tmp_path, settle_s=60) == []
    now_s += 31
    (event,) = look(tmp_path, settle_s=60)
    assert names(event) == ["whole.png"]
    # Its own time says that it is old; it is still growing.
    slow = put(tmp_path / "in", {"slow.png": b"half"}) / "slow.png"
    os.utime(slow, (now_s + 9999, now_s + 9999))
    assert look(tmp_path, settle_s=60) == []
    now_s += 59
    put(tmp_path / "in", {"slow.png": picture(2)})
    os.utime(slow, (now_s + 9999, now_s + 9999))
    assert look(tmp_path, settle_s=60) == []
    now_s += 61
    assert [names(event) for event in look(tmp_path, settle_s=60)] == [["slow.png"]]


def test_an_announcement_that_was_not_taken_is_sent_again_as_the_same(tmp_path: Path) -> None:
    """With the same id, so that a server that took it after all counts it once."""
    put(tmp_path / "in", {"a.png": picture(1), "b.png": picture(2)})
    tried: list[Event] = []

    def refuse(events: list[Event]) -> None:
        tried.extend(events)
        raise ConfigError("no server")

    for _ in range(2):
        with pytest.raises(ConfigError):
            list(watch(settings(tmp_path), refuse))
    put(tmp_path / "in", {"b.png": picture(3)})
    first, second = look(tmp_path)
    assert {event.event_id for event in tried} == {first.event_id}
    assert {event.payload["source"] for event in tried} == {first.payload["source"]}
    assert (names(first), names(second)) == (["a.png"], ["b.png"])
    assert look(tmp_path) == []


def test_many_files_are_several_announcements(tmp_path: Path) -> None:
    """Each of at most so many files, in the order of their names."""
    put(tmp_path / "in", {f"{n:02d}.png": b"x" for n in range(7)})
    events = look(tmp_path, max_files=3)
    assert [event.payload["files"] for event in events] == [3, 3, 1]
    assert [names(event)[0] for event in events] == ["00.png", "03.png", "06.png"]


def test_a_file_that_comes_back_is_new_and_one_that_leaves_is_forgotten(tmp_path: Path) -> None:
    """So the memory is as large as the folder, not as its history."""
    put(tmp_path / "in", {"a.png": b"x", "b.png": b"y"})
    look(tmp_path)
    (tmp_path / "in" / "a.png").unlink()
    assert look(tmp_path) == []
    put(tmp_path / "in", {"a.png": b"x"})
    assert [names(event) for event in look(tmp_path)] == [["a.png"]]


def test_lakes_links_and_what_is_not_asked_for_are_left_out(tmp_path: Path) -> None:
    """A link out of the folder is none of its files; patterns choose as for sources."""
    put(tmp_path / "in", {"a.png": b"x", "b.jpg": b"y", "lake/assay-lake.json": b"{}"})
    put(tmp_path, {"in/lake/shard.png": b"z", "out.png": b"o"})
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (event,) = look(tmp_path, options=SourceOptions(include=("*.png",)))
    assert names(event) == ["a.png"]
    with pytest.raises(InputError, match="below the watched folder"):
        look(tmp_path, state=tmp_path / "in" / "state")
    with pytest.raises(InputError, match="mark of a template"):
        look(tmp_path, state=tmp_path / "{{ 7 * 7 }}")
    with pytest.raises(InputError, match="no such folder"):
        look(tmp_path, prefix=str(tmp_path / "nowhere"))


def test_one_watch_at_a_time_has_a_memory(tmp_path: Path) -> None:
    """A second one is refused, and a damaged memory says how to go on."""
    put(tmp_path / "in", {"a.png": b"x"})
    first = watch(settings(tmp_path), lambda _: None)
    next(first)
    with pytest.raises(ConfigError, match="another process watches"):
        look(tmp_path)
    first.close()
    (tmp_path / "state" / "seen.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="announce all files again"):
        look(tmp_path)


def test_a_watch_goes_on_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at its first look, where somebody reads the message."""
    put(tmp_path / "in", {"a.png": b"x"})
    answers = [None, ConfigError("no server"), None]

    def deliver(_: list[Event]) -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        put(tmp_path / "in", {f"{len(pauses)}.png": b"y"})

    monkeypatch.setattr(watching.time, "sleep", wait)
    events = watch(settings(tmp_path), deliver, interval_s=7)
    assert [names(next(events)) for _ in range(2)] == [["a.png"], ["1.png"]]
    events.close()
    assert pauses == [7, 7]


def test_the_command_prints_listings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a server too: a path per announcement, a source of `assay moderate`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_API_URL", "")
    put(tmp_path / "in", {"a.png": picture(1)})
    main(["watch", str(tmp_path / "in"), "--once", "--settle", "0s", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["files"] == 1
    assert Path(printed["source"]).parent == state_folder(str(tmp_path / "in")) / "listings"
    main(["watch", str(tmp_path / "in"), "--once"])
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        main(["watch", str(tmp_path / "in"), "--once", "--server"])
    assert "PREFECT_API_URL" in capsys.readouterr().err


def test_files_are_drawn_one_by_one(tmp_path: Path) -> None:
    """The memory of the process does not grow with the number of files."""
    seen = SeenFiles(tmp_path / "seen.sqlite")
    alive = 0

    class Counted(str):
        def __new__(cls, text: str) -> Counted:
            nonlocal alive
            alive += 1
            return super().__new__(cls, text)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    most = 0

    def files():
        nonlocal most
        for n in range(2000):
            yield FileState(Counted(f"file:///{n}.png"), 1, "1-1", 0.0)
            most = max(most, alive)

    seen.note(files(), now_s=1.0)
    seen.prepare(now_s=2.0, settle_s=0, max_files=5000)
    assert [found.files for found in seen.unsent()] == [2000]
    assert most < 10
    seen.close()
