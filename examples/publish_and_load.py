"""Publish a lake as a labelled dataset and open it: `publish_and_load.py LAKE FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import datasets

import assay
from assay.tasks.publish.publish import publish

lake, folder = sys.argv[1:]
publish(assay.Lake(lake, create=False), Path(folder), overwrite=True)
splits = datasets.load_dataset(folder)
for name, rows in splits.items():
    print(name, rows.num_rows)
first = next(iter(splits.values()))[0]
print(first["image"].size, {name: value for name, value in first.items() if name != "image"})
