"""The grid view: images filtered, sorted and labelled many at a time.

The address holds filters, order and page. The page works by links and a form; its script fetches
the same pages and puts their results in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Path, Request, Response

from ...data.errors import ConfigError
from ...data.vocabulary import Decision, DecisionReason, Doubt, ReviewReason
from ...tasks.grid.columns import STATES
from ...tasks.grid.conditions import Conditions, Met, conditions_of, met_by
from ...tasks.grid.facets import facets_of
from ...tasks.grid.paging import MAX_ROWS, SORTS, Page, cursor_of, page_of, sort_of
from ...tasks.grid.snapshots import Snapshot
from ...tasks.pages.captions import SIGNS, cut, score_text, short_name, visible
from .desk import desk_of, render
from .labels import LABELS

PAGE_SIZES: Final = (30, 60, 120, 240)
MAX_SELECTED: Final = 2_000
_WAIT_S: Final = 2.0
# The content of an id never changes; with --no-store the guard replaces this.
_KEPT: Final = {"Cache-Control": "private, max-age=86400, immutable"}

router = APIRouter(prefix="/grid")


@router.get("")
def grid_page(request: Request) -> Response:
    """Show the images that the address asks for."""
    query = _query(request)
    try:
        chosen = conditions_of(query)
        sort = sort_of(_single(query, "sort") or "newest")
        n_rows = _page_size(_single(query, "n"))
        after, before = (_single(query, name) for name in ("after", "before_image"))
        run_id = _single(query, "run")
        cursors = [None if text is None else cursor_of(text) for text in (after, before)]
    except ConfigError as error:
        raise HTTPException(400, str(error)) from error
    snapshots = desk_of(request).snapshots
    if not snapshots.is_ready(run_id, timeout_s=_WAIT_S):
        return render(request, "wait.html.jinja", status=200, what="the images of the lake")
    snapshot = snapshots.get(run_id)
    met = met_by(snapshot.table, chosen)
    page = page_of(
        snapshot.table,
        chosen,
        sort=sort,
        n_rows=n_rows,
        after=cursors[0],
        before=cursors[1],
        met=met,
    )
    desk_of(request).thumbnails.expect(page.rows["image_id"])
    kept = [*chosen.as_query(), ("sort", sort), ("n", str(n_rows))]
    if run_id:
        kept.append(("run", run_id))
    return render(
        request,
        "grid.html.jinja",
        images=[_shown(row) for row in page.rows.iter_rows(named=True)],
        page=page,
        first=page.n_before + 1,
        facets=_facets(snapshot, chosen, met),
        chosen=chosen,
        folders=[(folder, n) for folder, n in snapshot.folders],
        sort=sort,
        sorts=SORTS,
        n_rows=n_rows,
        sizes=PAGE_SIZES,
        run_id=run_id,
        scope=snapshot.scope.describe(),
        n_all=snapshot.table.height,
        links=_links(page, kept),
        ids_link="/grid/ids?" + urlencode(kept),
        labels=LABELS,
        reasons=list(ReviewReason),
        signs=SIGNS,
        max_selected=MAX_SELECTED,
    )


@router.get("/ids")
def matching_ids(request: Request) -> dict[str, Any]:
    """Return the ids of the first matching images, for a selection of more than a page."""
    query = _query(request)
    try:
        chosen = conditions_of(query)
        sort = sort_of(_single(query, "sort") or "newest")
        run_id = _single(query, "run")
    except ConfigError as error:
        raise HTTPException(400, str(error)) from error
    table = desk_of(request).snapshots.get(run_id).table
    ids: list[str] = []
    page, after = None, None
    while (page is None or page.next is not None) and len(ids) < MAX_SELECTED:
        n_rows = min(MAX_ROWS, MAX_SELECTED - len(ids))
        page = page_of(table, chosen, sort=sort, n_rows=n_rows, after=after)
        ids += page.rows["image_id"].to_list()
        after = page.next
    return {"image_ids": ids, "n_matching": page.n_matching if page else 0}


@router.get("/image/{image_id}/{size}.webp")
def thumbnail(
    request: Request, image_id: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], size: str
) -> Response:
    """Return an image as `veil` (grey, without detail) or `thumbnail`."""
    if size not in {"veil", "thumbnail"}:
        raise HTTPException(404, f"there is no size {size[:40]!r}; sizes: veil, thumbnail")
    made = desk_of(request).thumbnails.get(image_id)
    if made is None:
        raise HTTPException(404, "the lake has no such image that can be shown")
    return Response(getattr(made, size), media_type="image/webp", headers=_KEPT)


def _query(request: Request) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, []).append(value)
    return query


def _single(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = [value for value in query.get(name, ()) if value.strip()]
    if len(values) > 1:
        raise ConfigError(f"{name} is given {len(values)} times; allowed: once")
    return values[0] if values else None


def _page_size(text: str | None) -> int:
    if text is None:
        return PAGE_SIZES[1]
    try:
        return {str(size): size for size in PAGE_SIZES}[text]
    except KeyError:
        sizes = ", ".join(map(str, PAGE_SIZES))
        raise ConfigError(f"n is {text[:40]!r}; allowed: {sizes}") from None


def _links(page: Page, kept: Sequence[tuple[str, str]]) -> dict[str, str | None]:
    """Return the addresses of the neighbouring pages, None where there is none."""
    ends = {"previous": ("before_image", page.previous), "next": ("after", page.next)}
    return {
        name: None if cursor is None else "/grid?" + urlencode([*kept, (key, str(cursor))])
        for name, (key, cursor) in ends.items()
    }


def _facets(snapshot: Snapshot, chosen: Conditions, met: Met) -> list[dict[str, Any]]:
    """Return the filters with boxes: each value with its text, its number, and whether it is on."""
    counts = facets_of(snapshot.table, chosen, met)
    words: dict[str, dict[str, str]] = {
        "decision": {word.value: word.value for word in Decision} | {"none": "undecided"},
        "label": {state: state for state in STATES} | {"none": "no label"},
        "reason": {word.value: word.text for word in DecisionReason},
        "domain": {name: visible(name) for name in (*counts.domain, *chosen.domain)},
    }
    if "none" in words["domain"]:
        words["domain"]["none"] = "no domain"
    titles = {"decision": "Decision", "label": "Label", "reason": "Reason", "domain": "Domain"}
    facets = []
    for name, texts in words.items():
        numbers, on = getattr(counts, name), getattr(chosen, name)
        values = [
            {"value": value, "text": text, "n": numbers.get(value, 0), "is_on": value in on}
            for value, text in texts.items()
            if name != "reason" or value in numbers or value in on
        ]
        if name == "domain" and list(texts) == ["none"]:
            continue
        facets.append({"name": name, "title": titles[name], "options": values})
    return facets


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an image as the template shows it; all texts may come from outside."""
    reasons = [DecisionReason.text_of(word) for word in (row["reasons"] or "").split()]
    if row["doubt"]:
        reasons.append(Doubt.text_of(row["doubt"]))
    label = None if row["label"] == "none" else row["label"]
    name = short_name(row["source_uri"])[:120]
    score = score_text(row["prob_fake"])
    about = [name, f"score {score}", row["decision"] or "undecided"]
    about.append(f"label {label}" if label else "no label")
    size = f"{row['width_px']} x {row['height_px']} px {row['format']}"
    return {
        "image_id": row["image_id"],
        "name": name,
        "uri": cut(row["source_uri"] or ""),
        "score": score,
        "decision": row["decision"],
        "label": label,
        "evidence": None if row["evidence"] == "none" else row["evidence"],
        "reasons": "; ".join(reasons),
        "domain": visible(row["domain"] or ""),
        "seen": f"{row['seen_at']:%Y-%m-%d %H:%M} UTC" if row["seen_at"] else "",
        "size": size,
        "about": ", ".join(about),
    }
