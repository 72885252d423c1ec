"""Requests with any valid settings, and for each setting a value that is not its default."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from assay.data.machine import DEVICE_KINDS
from assay.flows.fields.marks import IsPlace, kind_of, mark_of
from assay.flows.fields.refusals import choices
from assay.flows.request import Request

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)
NAMES = TEXTS.filter(lambda text: "/" not in text and "://" not in text and text not in {".", ".."})
# Absolute, so that they mean the same from every folder.
PLACES = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
FROM = st.sampled_from(["parent-folder", "none"]) | TEXTS.filter(lambda text: "\n" not in text).map(
    "column:{}".format
)
DEVICES = st.sampled_from(["auto", *DEVICE_KINDS, "cuda:1"])
BLOCKS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}/[a-z0-9][a-z0-9-]{0,9}", fullmatch=True)
SPECIAL = {
    "label_from": FROM,
    "domain_from": FROM,
    "device": DEVICES,
    "notify": BLOCKS,
    "task_timeout_s": st.floats(0, 1, exclude_min=True),
}


def values(name: str) -> st.SearchStrategy[Any]:
    """Draw valid values of a setting."""
    field = Request.model_fields[name]
    kind, or_none = kind_of(field)
    texts = PLACES if mark_of(field, IsPlace) else TEXTS
    by_kind: dict[type, st.SearchStrategy[Any]] = {
        str: texts,
        tuple: st.lists(texts, max_size=3).map(tuple),
        bool: st.booleans(),
        int: st.integers(1, 1024),
        float: st.floats(0, 1),
    }
    names = choices(field)
    plain = st.sampled_from(names) if names else by_kind[kind]
    drawn = SPECIAL.get(name, plain)
    return st.none() | drawn if or_none else drawn


def requests() -> st.SearchStrategy[Request]:
    """Draw requests with any settings other than the defaults."""
    names = Request.model_fields
    return st.fixed_dictionaries({}, optional={name: values(name) for name in names}).map(
        lambda settings: Request(**settings)
    )


def other_value(name: str) -> Any:
    """Return a valid value of a setting that is not its default, with something to quote."""
    field = Request.model_fields[name]
    kind, _ = kind_of(field)
    special = {
        "label_from": "column:my label",
        "domain_from": "parent-folder",
        "device": "cuda:1",
        "notify": "slack-webhook/oncall",
    }
    if name in special:
        return special[name]
    if names := choices(field):
        return next(one for one in names if one != field.default)
    by_kind: dict[type, Any] = {
        str: "a'b c",
        tuple: ("*.png", "$(x) y"),
        bool: not field.default,
        int: 7,
        float: 0.25,
    }
    return by_kind[kind]
