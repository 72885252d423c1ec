"""Plans are checked, and their jobs and seeds follow from them, before anything is made."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.errors import AssayError, ConfigError, InputError, SynthError
from assay.flows.commands.models.synth import EXAMPLE_PLAN
from assay.synth.methods.registry import method_names, method_of
from assay.synth.plan.plan_file import plan_of_dict, read_plan
from assay.synth.plan.seeds import row_key, row_seed
from assay.synth.prompts import expand

PARENTS = [("a" * 64, "real"), ("b" * 64, "fake")]


def plan(tmp_path, **told):
    return plan_of_dict(told, folder=tmp_path)


def test_lists_are_swept_over_every_parent(tmp_path):
    """Two strengths, two masks and two parents are eight images, each with its own key and seed."""
    made = plan(
        tmp_path,
        make=[
            {"method": "inpaint", "generator": "g", "strength": [0.2, 0.5], "mask": ["box", "half"]}
        ],
    )
    jobs = list(made.jobs(made.blocks[0], PARENTS))
    assert len(jobs) == 8
    assert len({job.key for job in jobs}) == len({job.seed for job in jobs}) == 8
    assert {job.parent_label for job in jobs} == {"real", "fake"}
    assert [job.key for job in jobs] == [job.key for job in made.jobs(made.blocks[0], PARENTS)]


def test_a_job_keeps_its_key_when_the_plan_grows(tmp_path):
    """Adding a block or a strength makes only the new images."""
    small = plan(tmp_path, make=[{"method": "aligned", "autoencoder": "a", "dct_blend": 0.5}])
    large = plan(
        tmp_path,
        make=[
            {"method": "launder"},
            {"method": "aligned", "autoencoder": "a", "dct_blend": [1, 0.5]},
        ],
    )
    few = {job.key for job in small.jobs(small.blocks[0], PARENTS)}
    assert few < {job.key for job in large.jobs(large.blocks[1], PARENTS)}


def test_text_takes_prompts_from_a_file_and_several_times(tmp_path):
    """Two prompts are made three times each, without parents."""
    (tmp_path / "p.txt").write_text("a dog\n\na cat\n")
    made = plan(
        tmp_path, make=[{"method": "text", "generator": "g", "prompts": "p.txt", "times": 3}]
    )
    jobs = list(made.jobs(made.blocks[0], []))
    assert len({job.seed for job in jobs}) == 6
    assert {job.settings["prompt"] for job in jobs} == {"a dog", "a cat"}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, "has no blocks"),
        ({"make": [{"method": "draw"}]}, "no method is named 'draw'; allowed: text,"),
        (
            {"make": [{"method": "aligned", "strength": 1}]},
            "unknown strength; allowed: autoencoder",
        ),
        ({"make": [{"method": "aligned", "of": "x"}]}, "of = 'x'; allowed: parents"),
        ({"make": [{"method": "launder"}] * 2}, "another block has this name"),
        ({"make": [{"method": "attack", "epsilon": "4"}]}, "epsilon = '4' is not a number"),
        ({"make": [{"method": "attack", "epsilon": [2, 80]}]}, "epsilon = 80; allowed: 1 to 64"),
        ({"make": [{"method": "attack", "kind": "fgsm"}]}, "kind = 'fgsm'; allowed: pgd, apgd"),
        ({"make": [{"method": "attack", "aim": "down"}]}, "aim = 'down'; allowed: lower, raise"),
        (
            {"make": [{"method": "control", "generator": "g", "controls": "d", "control": "cany"}]},
            "control = 'cany'; allowed: canny, depth, blur",
        ),
        (
            {
                "make": [
                    {
                        "method": "control",
                        "generator": "g",
                        "controlnet": "n",
                        "control": ["canny", "depth"],
                    }
                ]
            },
            "depth is not estimated here; give depth images",
        ),
        (
            {"make": [{"method": "inpaint", "generator": "g", "mask": ["box", "boxx"]}]},
            "mask = 'boxx'; allowed: empty, full, .*or a folder of masks",
        ),
        (
            {"make": [{"method": "text", "generator": "g", "prompts": "none.txt"}]},
            "prompts = 'none.txt' is not a file; allowed: moderation, or a file",
        ),
        (
            {"make": [{"method": "image-to-image", "generator": "g", "strength": float("nan")}]},
            "strength = nan; allowed: 0.01 to 1",
        ),
        ({"make": [{"method": "launder", "condition": "jpg"}]}, "no condition is named 'jpg'"),
        ({"make": [{"method": "text", "generator": "g"}]}, "needs prompt"),
        ({"make": [{"method": "text"}]}, "text needs generator = .*sd3.5-large"),
        (
            {"make": [{"method": "control", "generator": "g"}]},
            "control needs controlnet = FOLDER and control = canny, depth, blur",
        ),
        ({"make": [{"method": "launder"}], "parents": {"choose": "all"}}, "choose = 'all'"),
        ({"make": [{"method": "launder"}], "seed": "1"}, "seed is '1'"),
        ({"make": [{"method": "launder"}], "sed": 1}, "unknown sed; allowed: seed"),
        ({"make": [{"method": "launder"}], "seed": -1}, r"seed is -1; allowed: .* from 0 to 184"),
        ({"make": [{"method": "launder"}], "seed": 2**64}, "seed is 18446744073709551616; allowed"),
        ({"make": [{"method": "launder"}], "seed": 1 << 99999}, "seed is a number of 100,000 bits"),
        ({"make": [{"method": "launder"}], "seed": True}, "seed is True; allowed"),
        ({"make": [{"method": "launder"}], "parents": {"n": True}}, "n = True is not a whole numb"),
        (
            {"make": [{"method": "launder"}], "parents": {"n": -1}},
            "n = -1; allowed: 0 to 1,000,000",
        ),
        ({"make": [{"method": "launder"}], "parents": {"n": 2.0}}, "n = 2.0 is not a whole number"),
        (
            {"make": [{"method": "launder"}], "parents": [1]},
            r"\[parents\] is \[1\]; allowed: a table",
        ),
        ({"make": [{"method": "launder"}], "parents": {"where": 1}}, "where = 1 is not text"),
        (
            {"make": [{"method": "launder"}], "parents": {"where": "size > 1"}},
            r"\[parents\]: where = 'size > 1' is not a condition on the images: "
            "size is not a column",
        ),
        (
            {"make": [{"method": "launder"}], "parents": {"a\nb": 1}},
            r"\[parents\]: unknown 'a\\nb'; allowed: choose",
        ),
        ({"make": {"method": "launder"}}, r"make is a table; write \[\[make\]\]"),
        ({"make": ["launder"]}, "make holds 'launder'; allowed: tables"),
        ({"make": [{"method": ["launder", "attack"]}]}, r"no method is named \['launder', 'att"),
        ({"make": [{"method": "laundry"}]}, r"allowed: text, .*; did you mean launder\?"),
        ({"make": [{"method": "launder", "of": ["x"]}]}, r"of = \['x'\]; allowed"),
        ({"make": [{"method": "launder", "condition": []}]}, "condition = .*at least one"),
        ({"make": [{"method": "attack", "epsilon": []}]}, "epsilon = .*or a list of at least one"),
        ({"make": [{"method": "attack", "epsilon": 0.5}]}, "epsilon = 0.5; allowed: 1 to 64"),
        (
            {"make": [{"method": "attack", "epsilon": [2, 1.5]}]},
            "epsilon = 1.5; allowed: whole lev",
        ),
        ({"make": [{"method": "attack", "steps": True}]}, "steps = True is not a whole number"),
        ({"make": [{"method": "attack", "steps": [[[[[[[[4]]]]]]]]}]}, "steps = .* is not a whole"),
        ({"make": [{"method": "latent-attack", "autoencoder": "a", "box": -1}]}, "box = -1"),
        (
            {"make": [{"method": "text", "generator": "g", "prompt": "x", "width": 0}]},
            "width = 0; allowed: 1 to 16,384",
        ),
        (
            {"make": [{"method": "text", "generator": "g", "prompt": "x", "guidence": 1}]},
            r"unknown guidence; .*; did you mean guidance\?",
        ),
        (
            {"make": [{"method": "text", "generator": "g", "prompt": "\ud800"}]},
            "prompt = .*allowed: valid Unicode text",
        ),
        (
            {"make": [{"method": "inpaint", "generator": "g", "mask": "x" * 9000}]},
            "mask = 'xxx.*; allowed: empty",
        ),
        (
            {"make": [{"method": "inpaint", "generator": "g", "mask": ["box", ""]}]},
            "mask = ''; allowed: a name or a path",
        ),
        (
            {
                "make": [
                    {
                        "method": "control",
                        "generator": "g",
                        "controlnet": "n",
                        "control": "depth",
                        "controls": " ",
                    }
                ]
            },
            "controls = ' '; allowed: a name or a path",
        ),
        ({"make": [{"method": "aligned", "autoencoder": ""}]}, "autoencoder = ''; allowed: a name"),
        (
            {"make": [{"method": "launder", "name": "a\n" + "x" * 9000}]},
            "^.{0,40}name = .{80,90}; allowed: 1 to 40 of a-z",
        ),
        (
            {"make": [{"method": "launder", "condition": "jpeg-91"}]},
            "named 'jpeg-91'; .*; did you mean jpeg-90",
        ),
    ],
)
def test_a_plan_with_a_slip_is_refused(tmp_path, told, message):
    """The message names the place, the value and the allowed ones."""
    with pytest.raises((ConfigError, SynthError), match=message):
        plan(tmp_path, **told)


def test_a_slip_is_told_with_the_line_of_its_block(tmp_path):
    """Blocks not written as [[make]] are named without a line."""
    path = tmp_path / "plan.toml"
    path.write_text('seed = 1\n\n[[make]]\nmethod = "launder"\n\n[[make]]\nmethod = "atack"\n')
    with pytest.raises(ConfigError, match=r"plan.toml, line 6: no method is named 'atack'"):
        read_plan(path)
    path.write_text('# plan\n [[ make ]] # one\nmethod = "attack"\nepsilon = 80\n')
    with pytest.raises(ConfigError, match=r"plan.toml, line 2, \[\[make\]\] attack: epsilon = 80"):
        read_plan(path)
    path.write_text('make = [{method = "attack", epsilon = 80}]\n')
    with pytest.raises(ConfigError, match=r"plan.toml, \[\[make\]\] attack: epsilon = 80"):
        read_plan(path)


def test_prompts_are_templates_where_variables_are_given(tmp_path):
    """Every combination is made, also of prompts in a file; variables must be lists of texts."""
    (tmp_path / "p.txt").write_text("a {colour} car\n")
    told = {"method": "text", "generator": "g", "prompts": "p.txt", "prompt": "{time}, {colour}"}
    variables = {"colour": ["red", "blue"], "time": ["noon", "night"]}
    made = plan(tmp_path, make=[told | {"variables": variables}])
    jobs = list(made.jobs(made.blocks[0], []))
    assert [job.settings["prompt"] for job in jobs] == [
        "noon, red",
        "noon, blue",
        "night, red",
        "night, blue",
        "a red car",
        "a blue car",
    ]
    assert all("variables" not in job.settings for job in jobs)
    missing = plan(tmp_path, make=[told | {"variables": {"colour": ["red"]}}])
    with pytest.raises(InputError, match="needs values for time"):
        list(missing.jobs(missing.blocks[0], []))
    with pytest.raises(ConfigError, match=r"variables.colour = 'red' is not a list of texts"):
        plan(tmp_path, make=[told | {"variables": {"colour": "red"}}])


METHODS = {name: method_of(name).settings_model for name in method_names()}


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.sampled_from(["mini-sd3", "parents", "near", "box", "{}", "{a}", "\ud800", "a\0b", 10**400]),
)


VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)


BLOCKS = st.fixed_dictionaries(
    {"method": st.sampled_from(list(METHODS)) | VALUES},
    optional=dict.fromkeys(
        {"name", "of"}.union(*(model.model_fields for model in METHODS.values())), VALUES
    ),
)


@settings(max_examples=80, deadline=None)
@given(
    st.fixed_dictionaries(
        {"make": st.lists(BLOCKS, max_size=2) | VALUES},
        optional={"seed": VALUES, "parents": VALUES},
    )
)
def test_any_values_are_a_plan_or_one_line(tmp_path_factory, told):
    """No other error is raised, whatever the values."""
    said = ""
    try:
        made = plan_of_dict(told, folder=tmp_path_factory.getbasetemp())
        made.check()
        assert all(job.key for block in made.blocks for job in made.jobs(block, PARENTS))
    except AssayError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 1000


@pytest.mark.parametrize("template", ["{}", "{0}", "a {colour.real} car", "{colour:>99}", "{a"])
def test_a_template_has_names_in_braces_and_nothing_else(tmp_path, template):
    """The plan's check reports it before anything is made; without variables it is a prompt."""
    make = {"method": "text", "generator": "g", "prompt": template}
    with pytest.raises(InputError, match=r"needs values for|unpaired"):
        plan(tmp_path, make=[make | {"variables": {"colour": ["red"]}}]).check()
    literal = plan(tmp_path, make=[make])
    literal.check()
    assert [job.settings["prompt"] for job in literal.jobs(literal.blocks[0], [])] == [template]


def test_a_misspelt_variable_is_told_with_the_one_that_is_there(tmp_path):
    """Doubled braces are literal ones."""
    make = {"method": "text", "generator": "g", "prompt": "a {colour} car"}
    made = plan(tmp_path, make=[make | {"variables": {"color": ["red"]}}])
    with pytest.raises(
        InputError, match=r"needs values for colour; variables has color; did you mean c"
    ):
        made.check()
    assert expand("{{a}} {a}", {"a": ["x"]}) == ["{a} x"]


def test_more_pictures_than_can_be_listed_are_refused_by_counting(tmp_path):
    """Templates and sweeps of 20^6 images are counted without listing them."""
    twenty = [f"v{number}" for number in range(20)]
    template = " ".join(f"{{{name}}}" for name in "abcdef")
    make = {"method": "text", "generator": "g", "prompt": template}
    made = plan(tmp_path, make=[make | {"variables": dict.fromkeys("abcdef", twenty)}])
    with pytest.raises(ConfigError, match=r"text has 64,000,000 images; allowed: 1,0"):
        made.check()
    steps = list(range(1, 1001))
    swept = {"method": "attack", "epsilon": list(range(1, 65)), "steps": steps}
    made = plan(tmp_path, make=[swept, {"method": "launder", "of": "attack", "condition": "half"}])
    made.check()
    with pytest.raises(ConfigError, match=r"attack has 6,400,000 images, 64,000 for each"):
        made.check(100)


def test_a_plan_may_begin_with_a_byte_order_mark(tmp_path):
    """A file that is not TOML is reported as such, however deeply nested."""
    path = tmp_path / "plan.toml"
    path.write_bytes(b'\xef\xbb\xbf[[make]]\nmethod = "launder"\n')
    assert read_plan(path).blocks[0].method == "launder"
    for raw, message in (
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        ("seed = 1".encode("utf-16"), "byte 0 is not UTF-8"),
        (b"seed =", "cannot be read as a plan"),
        (b"seed = 1" + b"0" * 5000, "cannot be read as a plan"),
    ):
        path.write_bytes(raw)
        with pytest.raises(ConfigError, match=message):
            read_plan(path)


@pytest.mark.parametrize(
    ("generator", "sizes", "message"),
    [
        (
            "sd3.5-large",
            {"width": 1000},
            "must be multiples of 16 px; the nearest size is 992x1024",
        ),
        ("sd3.5-medium", {"width": [1024, 256], "height": 256}, "256x256 px; allowed:"),
        ("sd3.5-large-turbo", {"height": 2048}, "1024x2048 px; allowed: areas"),
    ],
)
def test_sizes_are_refused_before_anything_is_loaded(tmp_path, generator, sizes, message):
    """Sizes of registered generators are checked with the plan, those of folders on loading."""
    make = {"method": "text", "prompt": "x"} | sizes
    with pytest.raises(SynthError, match=message):
        plan(tmp_path, make=[make | {"generator": generator}])
    assert plan(tmp_path, make=[make | {"generator": "folder"}]).blocks


def test_the_example_is_a_plan(tmp_path):
    """The output of `assay synth example` is accepted."""
    (tmp_path / "plan.toml").write_text(EXAMPLE_PLAN)
    made = read_plan(tmp_path / "plan.toml")
    told = {block.method for block in made.blocks}
    assert told == {"launder", "attack", "aligned", "image-to-image", "text"}
    (tmp_path / "plan.toml").write_text("# a comment\n" + EXAMPLE_PLAN)
    assert read_plan(tmp_path / "plan.toml").plan_id == made.plan_id


@given(st.integers(0, 2**31), st.text(max_size=20))
def test_seeds_are_whole_numbers_that_follow_run_and_row(run_seed, name):
    """They are in range, repeatable, and differ between runs."""
    key = row_key(name=name)
    seed = row_seed(run_seed, key)
    assert 0 <= seed < 2**63
    assert seed == row_seed(run_seed, row_key(name=name)) != row_seed(run_seed + 1, key)
