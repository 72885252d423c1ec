"""Print the score and the decision of each image of a folder: `score_folder.py FOLDER LAKE`."""

from __future__ import annotations

import sys

import assay

folder, lake = sys.argv[1:]
result = assay.moderate(folder, lake=lake, detector="mini", quiet=True)
for image in result.scores().iter_rows(named=True):
    name = image["source_uri"].rpartition("/")[2]
    print(f"{image['prob_fake']:.3f}  {image['decision']:<6}  {name}")
print(f"{result.rejected} of {result.items} items rejected")
