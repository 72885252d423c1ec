"""The warning filter of decoding does not get in the way of other libraries."""

from __future__ import annotations

import io

from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from assay.data.images.decode import DISPLAY, decode_rgb


def test_scikit_learn_works_in_parallel_after_an_image_was_opened():
    """It copies the warning filters of the process by the text of their patterns."""
    raw = io.BytesIO()
    Image.new("RGB", (8, 8)).save(raw, "PNG")
    decode_rgb(raw.getvalue(), DISPLAY)
    forest = RandomForestClassifier(4, n_jobs=2, random_state=0).fit([[0], [1]] * 5, [0, 1] * 5)
    assert forest.predict([[0], [1]]).tolist() == [0, 1]
