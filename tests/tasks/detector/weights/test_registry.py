"""The registry pins every name, and has none twice."""

import hashlib
import re

import pytest

from assay.data.errors import WrongRevision
from assay.tasks.detector.weights.hub import parse_hub_id
from assay.tasks.detector.weights.registry import (
    CARDS,
    MINI_FOLDER,
    card_by_name,
    card_by_weights,
    cards_of_repo,
    registered_names,
)

PORT = "buildborderless/CommunityForensics-DeepfakeDet-ViT"
TUNED = "Thermostatic/community-forensics-frontier-detector-2026-08"


def test_names_that_load():
    """The command line has four names; later fine-tunes load by their full hub id only."""
    assert registered_names() == ("community-forensics", "commfor-384", "commfor-224", "mini")
    assert card_by_name("frontier-2026-08") is None
    assert [card.by_name for card in cards_of_repo(TUNED)] == [False]


def test_every_name_that_loads_is_pinned_in_full():
    """Each hub checkpoint has a commit and a whole hash, and a config hash if needed."""
    for card in CARDS:
        assert card.repo is None or re.fullmatch("[0-9a-f]{40}", card.revision)
        if card.by_name:
            assert re.fullmatch("[0-9a-f]{64}", card.weights_sha256)
            assert card_by_weights(card.weights_sha256) == card
        if card.by_name and card.repo and card.layout == "transformers":
            assert re.fullmatch("[0-9a-f]{64}", card.config_sha256)
    assert len({card.detector_id for card in CARDS}) == len(CARDS)


def test_the_default_detector_is_pinned_to_what_was_published():
    """The pinned figures are those of the checked revision."""
    card = card_by_name("community-forensics")
    assert card.detector_id == "community-forensics@ac6ee457bea904a373065754107451793b56db00"
    assert card.weights_sha256.startswith("275ba982236d")
    assert (card.width, card.depth, card.heads, card.image_px) == (384, 12, 6, 384)


def test_the_embedded_weights_are_the_pinned_ones():
    """The registry has the hash of the embedded `mini`."""
    raw = (MINI_FOLDER / "model.safetensors").read_bytes()
    assert hashlib.sha256(raw).hexdigest() == card_by_name("mini").weights_sha256


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (PORT, "no revision is given.*ac6ee457"),
        (f"{PORT}@main", "no full commit.*ac6ee457"),
        (f"{PORT}@ac6ee45", "no full commit"),
        (f"{PORT}@761adfb", "broken port.*ac6ee457"),
        (f"{PORT.lower()}@761adfb{'0' * 33}", "broken port"),
        (f"{PORT}@{'1' * 40}", "not the revision that was checked.*ac6ee457"),
        (f"OwensLab/commfor-model-384@{'1' * 40}", "not the revision that was checked.*6076002b"),
        ("someone/else", "someone/else@<commit>"),
        ("someone/else@v1.0", "40 hex digits"),
    ],
)
def test_revisions_that_are_refused(name, said):
    """Unpinned, unknown and broken revisions are refused with the one to use."""
    with pytest.raises(WrongRevision, match=said):
        parse_hub_id(name)


def test_revisions_that_are_accepted():
    """A full commit of an unpinned repository is accepted, and the pinned commit."""
    assert str(parse_hub_id(f"someone/else@{'a' * 40}")) == f"someone/else@{'a' * 40}"
    assert parse_hub_id(f"{TUNED}@{'b' * 40}").repo == TUNED
    assert parse_hub_id(f"{PORT}@ac6ee457bea904a373065754107451793b56db00").repo == PORT


@pytest.mark.parametrize("name", ["mini", "a/b/c", "./a/b", "", "@", "a/@b"])
def test_names_that_are_no_hub_ids(name):
    """Paths and plain names are no hub ids."""
    assert parse_hub_id(name) is None
