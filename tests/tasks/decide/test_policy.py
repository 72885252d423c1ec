"""The policy file: accepted values, messages of refusals, identity of the rules."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from lakes import Shot, decided_again, lake_of

from assay.data.errors import ConfigError
from assay.flows.cli import main
from assay.tasks.decide.policy import Band
from assay.tasks.decide.policy_file import (
    PACKAGED_POLICY,
    load_policy,
    policy_from_dict,
    policy_schema,
)
from assay.tasks.decide.recorded_policy import earlier_packaged

# Id of the packaged policy of version 0.2.0.
EARLIER = "default@d2dab785105a"

MINIMAL = """
name = "house"
min_short_edge_px = 440
unlisted_domain = "default"
[default]
review_at = 0.4
flag_at = 0.8
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_packaged_policy_loads_and_says_that_it_is_not_calibrated() -> None:
    """The default has a review band around the authors' 0.5, the 440 px rule, and a warning."""
    policy = load_policy()
    assert policy.default == Band(review_at=0.35, flag_at=0.65)
    assert policy.min_short_edge_px == 440
    assert policy.policy_id.startswith("default@")
    assert len(policy.policy_id) == len("default@") + 12
    assert "NOT CALIBRATED" in PACKAGED_POLICY.read_text(encoding="utf-8")


def test_a_policy_without_the_newer_rules_has_the_id_that_it_had() -> None:
    """The packaged policy of version 0.2.0 is today's without its two rules, to the hash."""
    newer = load_policy().as_dict()
    assert (newer.pop("copies"), newer.pop("pixels")["min_detail"]) == ("together", 0.38)
    earlier = policy_from_dict(newer, source="test")
    assert (earlier.copies, earlier.pixels) == ("alone", None)
    assert earlier.policy_id == EARLIER


@pytest.mark.parametrize(
    ("rules", "found"),
    [({}, EARLIER), ({"copies": "together"}, None), ({"name": "mine"}, None)],
)
def test_a_lake_of_the_earlier_packaged_policy_is_known(
    tmp_path: Path, rules: dict[str, str], found: str | None
) -> None:
    """By the record of its last run, whose rules have another name or a newer rule otherwise."""
    made = lake_of(tmp_path, [Shot(name="a")])
    policy = load_policy().model_copy(update={"copies": "alone", "pixels": None, **rules})
    decided_again(made, policy, "20260301T130000Z-00000001")
    assert earlier_packaged(made.lake) == found


def test_the_examples_in_the_comments_of_the_packaged_policy_work() -> None:
    """Uncommenting the example tables gives a valid policy."""
    text = PACKAGED_POLICY.read_text(encoding="utf-8")
    head, _, example = text.partition("# [detectors.community-forensics]\n")
    shown = "\n".join(line.removeprefix("# ").removeprefix("#") for line in example.splitlines())
    policy = policy_from_dict(
        __import__("tomllib").loads(f"{head}[detectors.community-forensics]\n{shown}"),
        source="example",
    )
    band, is_listed = policy.band("community-forensics@ac6ee457", "graphics")
    assert band == Band(review_at=0.5, flag_at=0.9)
    assert is_listed


def test_comments_and_order_do_not_change_the_identity_but_figures_do(tmp_path: Path) -> None:
    """`policy_id` is that of the rules."""
    first = load_policy(written(tmp_path, MINIMAL)).policy_id
    shuffled = MINIMAL.replace("review_at = 0.4\nflag_at = 0.8", "flag_at=0.80 # !\nreview_at=0.4")
    assert load_policy(written(tmp_path, shuffled)).policy_id == first
    assert load_policy(written(tmp_path, MINIMAL.replace("0.8", "0.81"))).policy_id != first


def test_the_most_specific_thresholds_hold(tmp_path: Path) -> None:
    """Whole id before name, domain before general, and `default` for the rest."""
    text = MINIMAL + (
        "[detectors.mini]\nreview_at = 0.1\nflag_at = 0.2\n"
        "[detectors.mini.domains.art]\nreview_at = 0.3\nflag_at = 0.4\n"
        '[detectors."mini@abc"]\nreview_at = 0.5\nflag_at = 0.6\n'
        "[detectors.other.domains.art]\nreview_at = 0.7\nflag_at = 0.9\n"
    )
    policy = load_policy(written(tmp_path, text))
    assert policy.band("mini@zzz") == (Band(review_at=0.1, flag_at=0.2), True)
    assert policy.band("mini@zzz", "art") == (Band(review_at=0.3, flag_at=0.4), True)
    assert policy.band("mini@abc", "art") == (Band(review_at=0.5, flag_at=0.6), False)
    assert policy.band("other@1", "news") == (Band(review_at=0.4, flag_at=0.8), False)
    assert policy.band("other@1", "art") == (Band(review_at=0.7, flag_at=0.9), True)
    assert policy.band("third") == (Band(review_at=0.4, flag_at=0.8), True)


def test_a_policy_survives_being_stored_as_plain_values(tmp_path: Path) -> None:
    """`policy_from_dict(as_dict())` gives the same policy and identity."""
    text = MINIMAL + '[detectors.mini.domains."a b"]\nreview_at = 0\nflag_at = 1\n'
    policy = load_policy(written(tmp_path, text))
    again = policy_from_dict(policy.as_dict(), source="run")
    assert again == policy
    assert again.policy_id == policy.policy_id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("flag_at = 0.8", "flag_at = 0.3"), r"default\.review_at = 0\.4; allowed: at most"),
        (("flag_at = 0.8", "flag_at = 1.5"), r"default\.flag_at = 1\.5; allowed: a number from 0"),
        (("flag_at = 0.8", "flag_at = nan"), r"default\.flag_at = nan; allowed"),
        (("flag_at = 0.8", "flag_at = -0.0001"), r"default\.flag_at = -0\.0001"),
        (("flag_at = 0.8", "flag_at = true"), r"default\.flag_at = True"),
        (("flag_at = 0.8", 'flag_at = "0.8"'), r"default\.flag_at = '0\.8'"),
        (("flag_at = 0.8", ""), r"default\.flag_at is missing; add it"),
        (("flag_at = 0.8", "flag_at = 0.8\nflags = 1"), r"unknown key default\.flags = 1; allowed"),
        (("[default]", "extra = 1\n[default]"), r"unknown key extra = 1; allowed here: name, min"),
        (("440", "-1"), r"min_short_edge_px = -1; allowed: a whole number"),
        (("440", "44.5"), r"min_short_edge_px = 44\.5"),
        (("440", "2_000_000"), r"min_short_edge_px = 2000000; allowed: .* from 0 to 1000000"),
        (("440", "0x" + "f" * 4000), r"min_short_edge_px = a number of 16,000 bits; allowed"),
        (("0.8", "[" * 300 + "]" * 300), r"default\.flag_at = \[\[\[\[\.\.\.\]\]\]\]; allowed"),
        (("[default]", f"{'x' * 500} = 1\n[default]"), r"unknown key x{70,79}… = 1; allowed"),
        (("review_at", "reveiw_at"), r"unknown key default\.reveiw_at.*; did you mean review_at\?"),
        (("[default]", "[Default]"), r"unknown key Default = .*; did you mean default\?"),
        (
            ("flag_at = 0.8", "flag_at = 0.8\n[detectors.x.domain.art]\nreview_at = 0.1"),
            r'unknown key detectors\."x"\.domain = .*; did you mean domains\?',
        ),
        (('"default"', '"flag"'), r"unlisted_domain = 'flag'; allowed"),
        (('"house"', '"a b/c"'), r"name = 'a b/c'; allowed: 1 to 64"),
        (("[default]", "[[default]]"), r"default = \[.*allowed: a table"),
        (("[default]", "[default"), r"is not TOML .*line"),
        (
            ("flag_at = 0.8", "flag_at = 0.8\n[detectors.x]\nreview_at = 0.1"),
            r'detectors\."x"\.flag_at is missing',
        ),
        (("flag_at = 0.8", "flag_at = 0.8\n[detectors]\nx = 3"), r'detectors\."x" = 3; allowed'),
    ],
)
def test_a_wrong_policy_is_refused_naming_file_key_and_value(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    """Every refusal says the file, the key, what was seen, and what is allowed."""
    file = written(tmp_path, MINIMAL.replace(*change))
    with pytest.raises(ConfigError, match=message) as refused:
        load_policy(file)
    assert str(file) in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_policy_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """The same policy as without; other encodings and bottomless nesting are told as such."""
    file = written(tmp_path, MINIMAL)
    plain = load_policy(file)
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_policy(file) == plain
    for raw, message in (
        (MINIMAL.encode("utf-16"), "byte 0 is not UTF-8, which TOML must be"),
        (b"name = " + b"[" * 100_000, "nested too deeply"),
    ):
        file.write_bytes(raw)
        with pytest.raises(ConfigError, match=message):
            load_policy(file)


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    """No traceback of the operating system comes out."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path)


def test_the_schema_accepts_the_packaged_policy_and_refuses_what_reading_refuses() -> None:
    """Editors and `load_policy` agree on keys, types and ranges."""
    checks = jsonschema.Draft202012Validator(policy_schema())
    checks.check_schema(policy_schema())
    good = load_policy().as_dict()
    assert checks.is_valid(good)
    for key, value in (
        ("name", "a b/c"),
        ("min_short_edge_px", -1),
        ("unlisted_domain", "flag"),
        ("default", {"review_at": 0.4}),
        ("default", {"review_at": 0.4, "flag_at": 1.5}),
        ("detectors", {"x": {"domain": {}}}),
        ("extra", 1),
    ):
        assert not checks.is_valid(good | {key: value}), key


def test_the_schema_is_printed_or_written_and_nothing_is_overwritten_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`assay policy schema`, with --out to a file, with --overwrite over one that is there."""
    main(["policy", "schema"])
    assert json.loads(capsys.readouterr().out) == policy_schema()
    file = tmp_path / "policy.schema.json"
    main(["policy", "schema", "--out", str(file)])
    assert json.loads(file.read_text(encoding="utf-8")) == policy_schema()
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["policy", "schema", "--out", str(file)])
    assert stopped.value.code == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "mine"
    main(["policy", "schema", "--out", str(file), "--overwrite"])
    assert json.loads(file.read_text(encoding="utf-8")) == policy_schema()
