"""Keys, recipes and plan ids of earlier versions stay, so that no lake makes images again."""

from hashlib import sha256

import pytest

from assay.flows.commands.models.synth import EXAMPLE_PLAN
from assay.synth.job import Contents
from assay.synth.plan.plan_file import plan_of_dict, read_plan

PARENTS = [("a" * 64, "real"), ("b" * 64, "fake"), ("c" * 64, "laundered"), ("d" * 64, None)]
PAINTED = {"generator": "g", "prompt": "a dog"}
BLOCKS = {
    "text": {"method": "text", **PAINTED},
    "text with everything": {
        "method": "text",
        "generator": ["g", "h"],
        "prompt": ["a {colour} dog", "a cat"],
        "prompts": "p.csv",
        "variables": {"colour": ["red", "blue"]},
        "times": 2,
        "negative_prompt": "fog",
        "steps": [2, 4],
        "guidance": 3,
        "lora": "folder:0.8",
        "clip": "folder",
        "ocr": True,
        "width": 512,
        "height": [512, 256],
    },
    "image-to-image": {"method": "image-to-image", **PAINTED},
    "image-to-image swept": {
        "method": "image-to-image",
        **PAINTED,
        "strength": [0.2, 1],
        "steps": 4,
    },
    "inpaint": {"method": "inpaint", "generator": "g"},
    "inpaint swept": {
        "method": "inpaint",
        **PAINTED,
        "strength": 0.5,
        "mask": ["box", "half", "strokes"],
    },
    "control": {"method": "control", **PAINTED, "controlnet": "n", "control": ["canny", "blur"]},
    "aligned": {"method": "aligned", "autoencoder": "a"},
    "aligned swept": {"method": "aligned", "autoencoder": ["a", "b"], "dct_blend": [1, 0.5]},
    "launder": {"method": "launder"},
    "launder swept": {"method": "launder", "condition": ["jpeg", "half"]},
    "attack": {"method": "attack"},
    "attack swept": {
        "method": "attack",
        "kind": ["pgd", "apgd"],
        "epsilon": [1, 4.0],
        "steps": 5,
        "aim": "lower",
        "detector": "mini",
        "survive_files": [True, False],
    },
    "latent-attack": {"method": "latent-attack", "autoencoder": "a"},
    "latent-attack swept": {
        "method": "latent-attack",
        "autoencoder": "a",
        "box": [0.1, 1],
        "steps": 3,
        "aim": ["lower", "raise"],
    },
}
CONTENTS = Contents(pixels={"generator": ["g@1", None], "steps": 7}, measures={"clip": "c@1"})
PINNED = {
    "text": (
        "b532bf9ed64c",
        1,
        "848d0e808b771451d2533094",
        "6715980714772d1846142466",
        "07c060bdd6a708ab2a0759d8f01d4386ff43d5ee621d732b9ef424b88740cddd",
    ),
    "text with everything": (
        "8f0b98df4ea5",
        64,
        "90599f83d881f5807935a8be",
        "b67fdc0c7efdadcc245a0fdf",
        "c39f559a7bdf34a703b014b261f17f7a283660a4bc926734bc66c73523e4a898",
    ),
    "image-to-image": (
        "83d5dae9f88d",
        4,
        "cffe684597b5876cd67978a2",
        "79fe38b6ebcbddf4c5679576",
        "a52116ff247769448369bf7e78c3b681f93ad22d3fc94ff8faebade0652b6773",
    ),
    "image-to-image swept": (
        "cef607b21d35",
        8,
        "54fbfdabadd68102e4252ea4",
        "0827a7ac1f79c91d90fdfa2d",
        "7e034ca5d6744c96c210f8c25bffd114a260500a2ecd2ce7f925ac1a4a80c15a",
    ),
    "inpaint": (
        "74aa6f9e4319",
        4,
        "8308f0614b3a533e6e11f705",
        "eb23665cb0ef414efd236567",
        "78370fc11345a42d6bc6e5e560113362ba05cff29d63323cd3b87544ebc0588f",
    ),
    "inpaint swept": (
        "a15e46b90502",
        12,
        "e12c808c7cc3d2fa7696acad",
        "149c5ce3b4015c629ea76918",
        "b9563775a0cbd77c0bb016787078e099e4f46bb977ec8e8ef5797eb839744757",
    ),
    "control": (
        "6ac8f723f252",
        8,
        "197dd6817e448376a8bc1350",
        "334cdf46505b6692d101bb82",
        "cb84a2137b3142c1449b2ad59d023a43112cfd37d085d2b2503cfd32e2348827",
    ),
    "aligned": (
        "cc24e44d99cc",
        4,
        "26ecffe1121ba62bd438b768",
        "16229c1cf85006dc46715ba7",
        "5e3f4274f1e0e25414054e94a0a5d9eba405a5cbfc03611878890db6d1678c6d",
    ),
    "aligned swept": (
        "b79c147f6f75",
        16,
        "26ecffe1121ba62bd438b768",
        "a38ee6d9d8a0f50e55bd42f4",
        "53a8afc4e7809311248675cd901a65f28fac75d3cb770a9c90c7fac527f03248",
    ),
    "launder": (
        "2c17c9be2025",
        80,
        "11ff206aa49fc0b30a233570",
        "e747452ee7c88e379ccd3a55",
        "f9b351646552cadd0a42f2124e491ea6c174c1f00abd9ac4e2fb9890e3e44afd",
    ),
    "launder swept": (
        "d93210c71d24",
        20,
        "11ff206aa49fc0b30a233570",
        "80aacf6d30be935cfb161d1d",
        "58ffaae54ac00a893a6014e0121c3171eb0aa560d68467315d2ec086505d3912",
    ),
    "attack": (
        "652d2cf05b7a",
        4,
        "b9979b31cce52e81faf17842",
        "ddc6d4c90d8b347af5078d75",
        "01455c5d6d0a3526bb4ec02bbb1bf9d192fc8687ea64cc38e5fb5c733cf29a1e",
    ),
    "attack swept": (
        "0671624e886b",
        32,
        "29139a453bf1c760e55a6d2f",
        "918daab10718e59b23b7f05b",
        "11d5277272683279f410dee3d15d3666e8e9ae30365da2988b1e3d4114933fa7",
    ),
    "latent-attack": (
        "dd1ce6344df0",
        4,
        "5700040bc6e89e291ec6b5e8",
        "8480d52e30eda047e0a8b3dc",
        "d903ac361e296ca5c6f611e6d3589f67bf381204ab0a45c3d2871f3b366c71e4",
    ),
    "latent-attack swept": (
        "00fb6651c96f",
        16,
        "a6af94db39392e4420cfdf65",
        "b54004f7ed84d482d9e38842",
        "6c36941a44bd6f85c6262bfeaba0b75be524c5c1021e4ca88d8af65a4bc77e7e",
    ),
}
EXAMPLE_ID = "4f41757a5860"


def pins(block, folder):
    """Return the plan's id, its first and last key, and a digest of keys, seeds and settings."""
    (folder / "p.csv").write_text("prompt,category,expected_text\na sign,sign,OPEN\n")
    plan = plan_of_dict({"seed": 7, "make": [block]}, folder=folder)
    plain = list(plan.jobs(plan.blocks[0], PARENTS))
    known = list(plan.jobs(plan.blocks[0], PARENTS, lambda *_: CONTENTS))
    whole = repr(
        [(job.key, job.seed, job.recipe, sorted(job.settings.items())) for job in plain + known]
    )
    return plan.plan_id, len(plain), plain[0].key, known[-1].key, sha256(whole.encode()).hexdigest()


@pytest.mark.parametrize("name", BLOCKS)
def test_a_plan_of_an_earlier_version_names_the_same_pictures(tmp_path, name):
    """Every method is pinned, plain and swept, with parents of every label."""
    assert pins(BLOCKS[name], tmp_path) == PINNED[name]


def test_the_example_has_the_id_of_earlier_versions(tmp_path):
    """The id names the batch of the plan's images."""
    (tmp_path / "plan.toml").write_text(EXAMPLE_PLAN)
    assert read_plan(tmp_path / "plan.toml").plan_id == EXAMPLE_ID
