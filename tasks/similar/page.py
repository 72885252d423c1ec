"""The contact sheet as HTML: one file, no scripts, every picture veiled until it is clicked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, StrictUndefined

from ..pages.thumbnails import Thumbnail
from ..report.page import SIGNS, visible
from .contact_sheet import tiles_of
from .result import Similar

# The veil is the report's: a picture of some twelve pixels, blurred, in front of the sharp one.
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { --ink:#1b1f24; --soft:#59626d; --bg:#f6f7f9; --card:#eef1f4; --accent:#0b57a4;
  --clear:#0072b2; --review:#e69f00; --flag:#aa3377 }
@media (prefers-color-scheme: dark) { :root { --ink:#e8ebee; --soft:#a2abb5; --bg:#14171b;
  --card:#2a3037; --accent:#7db8f0; --clear:#56b4e9; --review:#f0b429; --flag:#dd77b0 } }
body { margin:0 auto; max-width:1180px; padding:24px 20px; background:var(--bg);
  color:var(--ink); font:15px/1.45 system-ui, sans-serif }
h1 { font-size:1.3rem; margin:0; overflow-wrap:anywhere } .soft { color:var(--soft) }
.pics { display:grid; gap:18px;
  grid-template-columns:repeat(auto-fill, minmax(min(45%, 190px), 1fr)) }
figure { margin:0; min-width:0 } figcaption { font-size:.86rem; margin-top:5px }
.pic { position:relative; aspect-ratio:1; overflow:hidden; border-radius:8px;
  background:var(--card) }
.query .pic { outline:4px solid var(--accent) }
.pic summary { position:absolute; inset:0; cursor:pointer; list-style:none }
.pic summary::-webkit-details-marker { display:none }
.pic summary:focus-visible { outline:3px solid var(--accent); outline-offset:-3px;
  border-radius:8px }
.pic img { position:absolute; inset:0; width:100%; height:100%; object-fit:contain }
.pic .veil { object-fit:cover; filter:blur(9px); transform:scale(1.15) }
.pic .ask { position:absolute; left:50%; top:50%; transform:translate(-50%,-50%);
  background:#000a; color:#fff; font-size:.8rem; border-radius:99px; padding:2px 12px }
.pic[open] .veil, .pic[open] .ask { display:none }
.pic[open] .sharp { pointer-events:none; background:var(--card) }
figcaption span { display:block; overflow:hidden; text-overflow:ellipsis; white-space:nowrap }
.clear b { color:var(--clear) } .review b { color:var(--review) } .flag b { color:var(--flag) }
</style></head><body>
<h1>{{ title }}</h1>
<p class="soft">{{ about }}. Veiled: click a picture, or press Enter on it, to see it.</p>
<div class="pics">
{% for tile in tiles %}{% set thumb = thumbs.get(tile.key) %}
<figure{% if tile.is_query %} class="query"{% endif %}>
<details class="pic"><summary aria-label="Show or hide {{ tile.heading }}">
{%- if thumb %}<img class="veil" src="{{ thumb.veil }}" alt="">
<span class="ask" aria-hidden="true">show</span>
{%- else %}the picture could not be drawn{% endif -%}
</summary>{% if thumb %}<img class="sharp" src="{{ thumb.sharp }}"
alt="{{ tile.heading }}: {{ tile.note }}">{% endif %}</details>
<figcaption><span>{{ tile.heading }}</span>
<span class="{{ tile.decision or '' }}">score {{ tile.score }}
{%- if tile.decision %} <b aria-hidden="true">{{ signs[tile.decision] }}</b> {{ tile.decision }}
{%- endif %}</span>
<span class="soft" title="{{ tile.note }}"><bdi>{{ tile.note }}</bdi></span>
<span class="soft">{{ tile.image_id }}</span></figcaption></figure>
{% endfor %}
</div></body></html>
"""


def render_similar(similar: Similar, thumbs: Mapping[str, Thumbnail]) -> str:
    """The whole page; `thumbs` are small pictures by `Tile.key`."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_PAGE).render(
        title=visible(similar.title()),
        about=similar.subtitle(),
        tiles=tiles_of(similar),
        thumbs=thumbs,
        signs=SIGNS,
    )
