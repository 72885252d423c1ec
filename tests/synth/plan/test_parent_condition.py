"""The condition on parents: an expression over the columns of an image, and nothing else."""

import polars as pl
import pytest

from assay.data.errors import ConfigError
from assay.data.schema import TABLES
from assay.synth.plan.parent_condition import PARENT_SCHEMA, parse_condition

ROWS = pl.DataFrame(
    [
        {"image_id": "a", "label": "real", "width_px": 600, "height_px": 400, "domain": "ads"},
        {"image_id": "b", "label": None, "width_px": 300, "height_px": 400, "domain": "O'Neil"},
        {"image_id": "c", "label": "fake", "width_px": 900, "height_px": 400, "domain": "select"},
    ],
    schema=PARENT_SCHEMA,
)


def fitting(where):
    return "".join(ROWS.filter(parse_condition(where))["image_id"])


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("width_px >= 512 and domain = 'ads'", "a"),
        ("WIDTH_PX >= 512".lower(), "ac"),
        ("domain = 'O''Neil' or \"width_px\" > 800", "bc"),
        ("label is null", "b"),
        ("not (label is null) and domain like '%select%'", "c"),
        ("label in ('real', 'fake')", "ac"),
        ("width_px > avg(width_px)", "c"),
        ("cast(width_px as float) / height_px between 1.4 and 1.6", "a"),
        ("least(width_px, height_px) >= 400", "ac"),
        ("coalesce(label, 'none') = 'none'", "b"),
        ("case when width_px > 800 then true else false end", "c"),
        ("lower(domain) ~ '^[ao]'", "ab"),
    ],
)
def test_a_condition_chooses_by_what_is_known_of_an_image(where, ids):
    """Comparisons, logic, case and a few functions, as SQL has them."""
    assert fitting(where) == ids


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("width_px > (select max(a) from read_csv('FILE'))", "select is no column"),
        ("width_px in (SELECT 1 FROM read_parquet('FILE'))", "SELECT is no column"),
        ("exists (table images)", "exists is no function here; allowed: abs"),
        ("width_px > any (values (1))", "any is no function here"),
        ("read_csv('FILE') is not null", "read_csv is no function here"),
        ("\"read_csv\"('FILE') is not null", "is no function here"),
        ("true union all select * from read_csv('FILE')", "union is no column"),
        ("true; select 1", "';' has no place"),
        ("true -- and false", "-- begins a comment"),
        ("true /* */ and true", "begins a comment"),
        ("domain = $$ads$$", r"'\$' has no place"),
        ("domain = 'ads", '"\'" has no place'),
        ("images.width_px > 1", r"'\.' has no place"),
        ("columns('^w') > 1", "columns is no function here"),
        ("rpad(domain, 2000000000) = 'x'", "rpad is no function here"),
        ("Label = 'real'", r"Label is no column; did you mean label\?"),
        ("width_furlongs > 1", "width_furlongs is no column.*columns: image_id, label"),
        ("width_px", "it gives Int32, not true or false"),
        ("width_px + 'a' > 1", "is no condition"),
        ("label = 5", "is no condition"),
        ("domain ~ '('", "is no condition"),
        ("domain ~ '(a{1000}){1000}'", "is no condition"),
        ("least() > 1", "least is called with nothing"),
        ("  ", "it is empty"),
        ("true and " * 50_000 + "true", "it has 450,004 characters, allowed are 2,000"),
        ("(" * 900 + "true" + ")" * 900, "is no condition"),
    ],
)
def test_what_is_no_condition_is_refused(tmp_path, where, message):
    """Whatever could name another table, a file or a statement; and what is not true or false."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match=message):
        parse_condition(where.replace("FILE", str(tmp_path / "secret.csv")))


def test_the_columns_of_a_condition_are_those_of_the_tables():
    """Of the same types, so that what is checked before the run holds in it."""
    stored = {
        field.name: field.type
        for table in ("sightings", "scores", "images")
        for field in TABLES[table]
    }
    schema = ROWS.to_arrow().schema
    for name in PARENT_SCHEMA:
        found = str(schema.field(name).type).removeprefix("large_").removesuffix("_view")
        assert found == str(stored[name]), name
