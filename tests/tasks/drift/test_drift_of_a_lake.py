"""`assay audit drift` reads runs, times and groups of a lake, and says what it lacks."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from populations_made import KEY, START, lake_of_runs, population
from processes import forked_command

from assay.data.errors import InputError
from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.tasks.drift.compare import Drift
from assay.tasks.drift.populations import of_run_and_earlier, of_runs, of_times
from assay.tasks.drift.report import drift_report


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two runs alike, a third with higher scores, and a fourth of three images."""
    return lake_of_runs(
        tmp_path_factory.mktemp("lake"),
        population(120, seed=1),
        population(120, seed=2),
        population(120, seed=3, shift=1.5),
        population(3, seed=4),
        domain="shop",
    )


def test_last_two_runs_with_enough_images_are_compared(lake: Lake) -> None:
    """The fourth run is too small."""
    found = of_runs(lake)
    assert (found.before_name, found.after_name) == ("run r1", "run r2")
    assert drift_report(lake, found).comparisons["all images"].drift is Drift.IMAGES


def test_named_runs_are_compared(lake: Lake) -> None:
    """The first two have no shift."""
    report = drift_report(lake, of_runs(lake, "r1", "r0"))
    assert report.drifted == []


def test_images_that_assay_made_are_compared_in_named_runs_alone(tmp_path: Path) -> None:
    """The last run made its images, so that the two before it are compared unless it is named."""
    made = population(60, seed=3, shift=3.0)
    lake = lake_of_runs(tmp_path, population(60, seed=1), population(60, seed=2), made)
    rows = [
        dict.fromkeys(TABLES["synthetics"].names)
        | {"image_id": image_id, "method": "launder", "params": "{}", "run_id": "r2"}
        | {"label": "fake", "license_flags": [], "created_at": START}
        for image_id in made["image_id"]
    ]
    lake.append("synthetics", rows, txn="made")
    found = of_runs(lake)
    assert (found.before_name, found.after_name) == ("run r0", "run r1")
    assert of_runs(lake, "r2").after.height == 60
    assert of_times(lake, START + timedelta(days=1)).after.height == 60
    assert of_run_and_earlier(lake, KEY, run_id="r2", batch_id=None) is None


def test_times_divide_by_the_time_of_storing(lake: Lake) -> None:
    """Images of the second day against those of the first; a later start leaves none."""
    day = timedelta(days=1)
    found = of_times(lake, START + 2 * day, START + day)
    assert (found.before.height, found.after.height) == (120, 123)
    with pytest.raises(InputError, match="needed: 30 of each"):
        of_times(lake, START + 3 * day)


@pytest.mark.parametrize(
    ("by", "names"), [("domain", ["shop"]), ("source", ["file:///a", "file:///b"])]
)
def test_groups_are_compared_each(lake: Lake, by: str, names: list[str]) -> None:
    """By domain, and by the folder of the images."""
    report = drift_report(lake, of_runs(lake), by=by)  # type: ignore[arg-type]
    assert sorted(report.comparisons) == names
    assert sorted(report.drifted) == names


def test_run_with_too_few_images_is_refused(lake: Lake) -> None:
    """The message lists the runs with their images."""
    with pytest.raises(InputError, match=r"run r3; needed: 30.* r0 120"):
        of_runs(lake, "r3")


@pytest.mark.xdist_group("forked commands")
def test_command_prints_and_fails_where_asked(lake: Lake, tmp_path: Path) -> None:
    """Exit code 0 with a shift, 6 with `--fail-on-drift`, 2 for options out of range."""

    def assay(*arguments: object) -> tuple[int, str]:
        given = ("audit", "drift", "--lake", lake.uri, *arguments)
        done = forked_command(*given, cwd=tmp_path, env=os.environ)
        return done.returncode, done.stdout

    code, text = assay()
    assert code == 0
    assert "other images: scores or embeddings have shifted" in text
    code, text = assay("--json", "--fail-on-drift")
    assert code == 6
    (found,) = json.loads(text)["comparisons"]
    assert found["verdict"] == "other_images"
    assert found["measures"]["score"]["is_shifted"] is True
    assert assay("--since", "7d", "--run", "r1")[0] == 2
    assert assay("--alpha", "0")[0] == 2
    assert assay("--run", "r1", "--against", "r1")[0] == 2
    assert assay("--run", "r1", "--fail-on-drift")[0] == 0
