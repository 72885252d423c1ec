"""The key of an image depends on what decides its pixels, and on nothing else."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.synth.job import Contents
from assay.synth.plan.plan_file import plan_of_dict

PARENTS = [("a" * 64, "real"), ("b" * 64, "fake"), ("c" * 64, None)]


def swept(*values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=3)


BLOCKS = st.one_of(
    st.fixed_dictionaries(
        {"method": st.just("launder"), "condition": swept("jpeg", "half", "noise")}
    ),
    st.fixed_dictionaries(
        {"method": st.just("aligned"), "autoencoder": st.just("a"), "dct_blend": swept(0, 0.5, 1)}
    ),
    st.fixed_dictionaries(
        {"method": st.just("text"), "generator": swept("g", "h"), "prompt": swept("x", "y", "z")},
        optional={"times": st.integers(1, 3), "steps": swept(1, 2)},
    ),
    st.fixed_dictionaries(
        {"method": st.just("attack"), "epsilon": swept(1, 2, 4)},
        optional={"aim": swept("lower", "raise"), "survive_files": st.booleans()},
    ),
)


def keys_of(blocks, tmp, parents=PARENTS):
    """Return the keys of each block's jobs, by the block's name."""
    plan = plan_of_dict({"make": blocks}, folder=tmp)
    return {block.name: {j.key for j in plan.jobs(block, parents)} for block in plan.blocks}


@settings(max_examples=60, deadline=None)
@given(st.lists(BLOCKS, min_size=2, max_size=5), BLOCKS, st.data())
def test_editing_one_block_leaves_the_keys_of_the_others(tmp_path_factory, blocks, new, data):
    """It may be changed, moved, renamed or removed; more parents only add keys."""
    tmp = tmp_path_factory.getbasetemp()
    named = [block | {"name": f"b{number}"} for number, block in enumerate(blocks)]
    before = keys_of(named, tmp)
    at = data.draw(st.integers(0, len(named) - 1))
    changed = [*named[:at], new | {"name": f"b{at}"}, *named[at + 1 :]]
    renamed = [*named[:at], named[at] | {"name": "other"}, *named[at + 1 :]]
    moved = data.draw(st.permutations(named))
    edits = (changed, renamed, moved, [*named[:at], *named[at + 1 :]])
    for edited in filter(None, edits):
        after = keys_of(edited, tmp)
        assert all(
            after[name] == before[name] for name in before if name != f"b{at}" or edited is moved
        )
    assert keys_of(renamed, tmp)["other"] == before[f"b{at}"]
    more = keys_of(named, tmp, [*PARENTS, ("d" * 64, "real")])
    assert all(before[name] <= more[name] for name in before)


def key(tmp_path, make, contents=None, parent=PARENTS[0], **top):
    plan = plan_of_dict({"make": [make]} | top, folder=tmp_path)
    (job,) = plan.jobs(plan.blocks[0], [parent], lambda *_: contents or Contents())
    return job.key


ATTACK = {"method": "attack", "epsilon": 4}
TEXT = {"method": "text", "generator": "g", "prompt": "a dog"}


def test_what_makes_the_same_picture_has_the_same_key(tmp_path):
    """Equal numbers, explicit defaults, names of blocks and measurements do not count."""
    same = key(tmp_path, ATTACK)
    for other in (
        ATTACK | {"epsilon": 4.0},
        ATTACK | {"kind": "apgd", "steps": 20, "survive_files": False},
        ATTACK | {"name": "again"},
        ATTACK | {"aim": "raise"},  # what a photo's is anyway
        {"method": "attack"},
    ):
        assert key(tmp_path, other) == same
    assert key(tmp_path, TEXT) == key(tmp_path, TEXT | {"clip": "folder", "ocr": True})
    assert key(tmp_path, TEXT) == key(tmp_path, TEXT | {"lora": "", "negative_prompt": ""})
    # Nothing is drawn at random in it.
    launder = {"method": "launder", "condition": "half"}
    assert key(tmp_path, launder, seed=1) == key(tmp_path, launder, seed=2)


def test_what_makes_another_picture_has_another_key(tmp_path):
    """Settings, parent, seed, contents of names, and a label that decides the aim count."""
    lora = TEXT | {"lora": "FOLDER:1.0"}
    keys = [
        key(tmp_path, ATTACK),
        key(tmp_path, ATTACK | {"epsilon": 2}),
        key(tmp_path, ATTACK | {"aim": "lower"}),
        key(tmp_path, ATTACK, parent=(PARENTS[0][0], "fake")),
        key(tmp_path, ATTACK, parent=PARENTS[1]),
        key(tmp_path, ATTACK, seed=1),
        key(tmp_path, ATTACK, Contents(pixels={"detector": "mini@1"})),
        key(tmp_path, ATTACK, Contents(pixels={"detector": "mini@2"})),
        key(tmp_path, TEXT),
        key(tmp_path, lora, Contents(pixels={"lora": "hash of one"})),
        key(tmp_path, lora, Contents(pixels={"lora": "hash of another"})),
    ]
    assert len(set(keys)) == len(keys)


def test_a_key_holds_contents_in_the_place_of_names(tmp_path):
    """A moved folder makes the same image."""
    weights = Contents(pixels={"lora": "hash", "generator": "other hash"})
    here = key(tmp_path, TEXT | {"lora": "here:1.0"}, weights)
    assert here == key(tmp_path, TEXT | {"generator": "moved", "lora": "there:1.0"}, weights)


def test_equal_jobs_have_one_key_and_lose_none(tmp_path):
    """A repeated prompt is one image, and the list has both jobs."""
    make = TEXT | {"prompt": ["a", "a", "b"]}
    plan = plan_of_dict({"make": [make]}, folder=tmp_path)
    jobs = list(plan.jobs(plan.blocks[0], []))
    assert len(jobs) == 3
    assert len({job.key for job in jobs}) == len({job.seed for job in jobs}) == 2


def test_a_prompt_of_the_plan_and_a_file_of_prompts_are_made_once_each(tmp_path):
    """The plan's own prompts and those of the file are combined."""
    (tmp_path / "p.txt").write_text("a cat\n")
    make = TEXT | {"prompt": ["a dog", "a cow"], "prompts": "p.txt"}
    plan = plan_of_dict({"make": [make]}, folder=tmp_path)
    jobs = plan.jobs(plan.blocks[0], [])
    assert [job.settings["prompt"] for job in jobs] == ["a dog", "a cow", "a cat"]


@pytest.mark.parametrize("field", ["key", "recipe"])
def test_the_jobs_of_a_plan_come_in_a_fixed_order(tmp_path, field):
    """Two lists are equal."""
    plan = plan_of_dict({"make": [ATTACK | {"epsilon": [1, 2]}]}, folder=tmp_path)
    twice = [
        [dataclasses.asdict(j)[field] for j in plan.jobs(plan.blocks[0], PARENTS)] for _ in "ab"
    ]
    assert twice[0] == twice[1]
