"""The condition on parents is an expression over the columns of an image, and nothing else."""

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
    """Comparisons, logic, case and a few functions of SQL work."""
    assert fitting(where) == ids


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("width_px > (select max(a) from read_csv('FILE'))", "select is not a column"),
        ("width_px in (SELECT 1 FROM read_parquet('FILE'))", "SELECT is not a column"),
        ("exists (table images)", "exists is not an allowed function; allowed: abs"),
        ("width_px > any (values (1))", "any is not an allowed function"),
        ("read_csv('FILE') is not null", "read_csv is not an allowed function"),
        ("\"read_csv\"('FILE') is not null", "is not an allowed function"),
        ("true union all select * from read_csv('FILE')", "union is not a column"),
        ("true; select 1", "';' is not allowed in a condition"),
        ("true -- and false", "-- begins a comment"),
        ("true /* */ and true", "begins a comment"),
        ("domain = $$ads$$", r"'\$' is not allowed in a condition"),
        ("domain = 'ads", '"\'" is not allowed in a condition'),
        ("images.width_px > 1", r"'\.' is not allowed in a condition"),
        ("columns('^w') > 1", "columns is not an allowed function"),
        ("rpad(domain, 2000000000) = 'x'", "rpad is not an allowed function"),
        ("Label = 'real'", r"Label is not a column; did you mean label\?"),
        ("width_furlongs > 1", "width_furlongs is not a column.*columns: image_id, label"),
        ("width_px", "its value is Int32, not true or false"),
        ("width_px + 'a' > 1", "is not a condition"),
        ("label = 5", "is not a condition"),
        ("domain ~ '('", "is not a condition"),
        ("domain ~ '(a{1000}){1000}'", "is not a condition"),
        ("least() > 1", "least is called without arguments"),
        ("  ", "it is empty"),
        ("true and " * 50_000 + "true", "it has 450,004 characters, allowed: 2,000"),
        ("(" * 900 + "true" + ")" * 900, "is not a condition"),
    ],
)
def test_what_is_no_condition_is_refused(tmp_path, where, message):
    """Tables, files, statements and values that are not boolean are refused."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match=message):
        parse_condition(where.replace("FILE", str(tmp_path / "secret.csv")))


def test_the_columns_of_a_condition_are_those_of_the_tables():
    """They have the same types, so that a condition checked before the run works in it."""
    stored = {
        field.name: field.type
        for table in ("sightings", "scores", "images")
        for field in TABLES[table]
    }
    schema = ROWS.to_arrow().schema
    for name in PARENT_SCHEMA:
        found = str(schema.field(name).type).removeprefix("large_").removesuffix("_view")
        assert found == str(stored[name]), name
