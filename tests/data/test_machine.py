"""Cores are counted in one place, and devices have the same names everywhere."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from assay.data.errors import ConfigError
from assay.data.machine import n_cores, parse_device, require_device
from assay.flows.request import Request

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"cuda": 2, "mps": 0, "xpu": 0, "tpu": 1, "cpu": 1}


def test_the_cores_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count respects limits of a container or of `taskset`."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5, 7}, raising=False)
    assert n_cores() == 3
    assert Request(lake="l").workers == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert n_cores() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert n_cores() == 3


def test_cores_are_counted_in_one_place() -> None:
    """No other module asks the operating system for cores."""
    asking = {"cpu_count", "sched_getaffinity", "process_cpu_count"}
    found = {
        path.relative_to(ROOT).as_posix()
        for layer in ("data", "synth", "tasks", "flows")
        for path in (ROOT / layer).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in asking
    }
    assert found == {"data/machine.py"}


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("auto", ("auto", None)),
        ("cpu", ("cpu", None)),
        ("cuda:1", ("cuda", 1)),
        ("xla", ("tpu", None)),
    ],
)
def test_a_name_is_a_kind_and_a_number(name: str, parsed: tuple[str, int | None]) -> None:
    """A device's name is parsed, and `xla` is a TPU."""
    assert parse_device(name) == parsed


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "CUDA", "auto:1"])
def test_other_names_are_refused(name: str) -> None:
    """The message lists the allowed names."""
    with pytest.raises(ConfigError, match=r"is unknown; allowed: auto, cuda, mps, xpu, tpu, cpu"):
        parse_device(name)


def test_a_misspelt_name_is_guessed() -> None:
    """The message suggests the nearest name."""
    with pytest.raises(ConfigError, match="did you mean cuda"):
        parse_device("cude")


def test_a_device_must_be_there() -> None:
    """`auto` is the first available device; a missing device is never replaced by another."""
    assert require_device("auto", COUNTS) == ("cuda", None)
    assert require_device("cuda:1", COUNTS) == ("cuda", 1)
    with pytest.raises(ConfigError, match=r"'mps' is not available; .* has: cuda, tpu, cpu"):
        require_device("mps", COUNTS)
    with pytest.raises(ConfigError, match="'cuda:2' is not available; this machine has 2 of cuda"):
        require_device("cuda:2", COUNTS)


def test_generators_and_detectors_refuse_a_device_alike() -> None:
    """The message and the exit code are the same."""
    from assay.synth.generators.load import usable_device
    from assay.tasks.detector.backends.devices import choose_devices

    for name in ("gpu", "cpu:1"):
        said = []
        for refuse in (usable_device, choose_devices):
            with pytest.raises(ConfigError) as refused:
                refuse(name)
            said.append(str(refused.value).split("; allowed")[0])
        assert len(set(said)) == 1
