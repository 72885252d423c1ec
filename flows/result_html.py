"""A moderation result as one notebook cell: counts, scores, veiled pictures; under 300 kB.

No script, nothing fetched, every word from outside escaped. Pictures stay veiled also where
a viewer drops styles, since a closed `details` hides them by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from ..data.store.lake import Lake
from ..tasks.pages.histogram import histogram_svg
from ..tasks.pages.thumbnails import thumbnails
from ..tasks.report.facts import ReportFacts, gather
from ..tasks.report.page import SIGNS, score_text, short_name
from ..tasks.report.run_record import find_run

N_PICTURES: Final = 24
THUMBNAIL_PX: Final = 128
# 24 of them in base64 are 192 kB.
THUMBNAIL_BYTES: Final = 6_000

_TEMPLATE: Final = """<div class="assay-result">
<style>
.assay-result { font:14px/1.45 system-ui, sans-serif; max-width:860px }
.assay-result p { margin:4px 0 } .assay-result .soft { opacity:.75; font-size:.9em }
.assay-result .keys { display:flex; flex-wrap:wrap; gap:2px 22px; margin:6px 0 }
.assay-result .clear i { color:#2a8fd0 } .assay-result .review i { color:#e69f00 }
.assay-result .flag i { color:#c2559a } .assay-result i { font-style:normal; margin-right:.3em }
.assay-result .hist { max-width:100%; height:auto; display:block }
.assay-result .pics { display:grid; grid-template-columns:repeat(auto-fill, minmax(100px, 1fr));
  gap:10px; margin-top:10px }
.assay-result details { position:relative; aspect-ratio:1; overflow:hidden; border-radius:6px;
  background:rgba(128,128,128,.15) }
.assay-result summary { list-style:none; cursor:pointer; position:absolute; inset:0 }
.assay-result summary::-webkit-details-marker { display:none }
.assay-result summary:focus-visible { outline:3px solid #2a8fd0; outline-offset:-3px }
.assay-result details img { position:absolute; inset:0; width:100%; height:100%; margin:0;
  object-fit:contain }
.assay-result .veil { object-fit:cover!important; filter:blur(7px) }
.assay-result details[open] .veil { visibility:hidden }
.assay-result details[open] .sharp { pointer-events:none }
.assay-result .name { display:block; white-space:nowrap; overflow:hidden; text-overflow:ellipsis }
</style>
<p><b>{{ head }}</b> in {{ "{:,.1f}".format(result.seconds) }} s
<span class="soft">run <code>{{ result.run_id }}</code></span></p>
{% if result.batch_id %}<p class="soft">stored {{ "{:,}".format(result.stored) }},
duplicates {{ "{:,}".format(result.duplicates) }}, rejected {{ "{:,}".format(result.rejected) }};
scored {{ "{:,}".format(result.scored) }}, failed {{ "{:,}".format(result.failed) }}</p>{% endif %}
<p class="keys">{% for name, n in result.decisions.items() %}
<span class="{{ name }}"><i aria-hidden="true">{{ signs.get(name, "") }}</i>{{ name }}
<b>{{ "{:,}".format(n) }}</b></span>{% endfor %}</p>
{% if histogram %}{{ histogram }}{% endif %}
{% if pictures %}<div class="pics">{% for row in pictures %}<div>
<details><summary aria-label="Show or hide the picture {{ row.name }}, score {{ row.score }}">
{%- if row.thumb %}<img class="veil" src="{{ row.thumb.veil }}" alt="">{% endif %}</summary>
{%- if row.thumb %}<img class="sharp" src="{{ row.thumb.sharp }}" alt="{{ row.name }}">{% endif -%}
</details><span class="{{ row.decision or '' }}"><b>{{ row.score }}</b>
<i aria-hidden="true">{{ signs.get(row.decision, "") }}</i>{{ row.decision or "" }}</span>
<bdi class="name soft" title="{{ row.name }}">{{ row.name }}</bdi></div>{% endfor %}</div>
<p class="soft">Highest, nearest the flag threshold, lowest. Veiled: click, or press Enter on one,
to see it.</p>{% endif %}
<p class="soft">{% if result.report %}Report: <code>{{ result.report }}</code><br>{% endif %}
Rows: <code>.scores()</code>, lake: <code>{{ result.lake }}</code></p>
</div>"""


def result_html(lake_uri: str, run_id: str, *, head: str, counts: Mapping[str, Any]) -> str:
    """Return the cell's HTML.

    Args:
        lake_uri: Folder or s3:// prefix of the lake.
        run_id: Id of the run.
        head: What the run went over, in words.
        counts: The run's result as plain values: counts, decisions, seconds, report.

    Raises:
        StoreError: The lake or the run's record cannot be read.
    """
    lake = Lake(lake_uri, create=False)
    run = find_run(lake, run_id)
    policy = run.policy()
    facts = gather(lake, run, policy, n_pictures=N_PICTURES)
    band = policy.band(run.detector_id)[0] if policy and run.detector_id else None
    pictures = _pictures(facts)
    small = thumbnails(
        lake,
        [row["image_id"] for row in pictures],
        max_px=THUMBNAIL_PX,
        max_bytes=THUMBNAIL_BYTES,
    )
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_TEMPLATE)
    return template.render(
        result=counts,
        head=head,
        signs=SIGNS,
        histogram=histogram_svg(facts.histogram, band, width_px=640) if facts.histogram else None,
        pictures=[
            {
                "name": short_name(row["source_uri"])[:120],
                "score": score_text(row["prob_fake"]),
                "decision": row["decision"],
                "thumb": small.get(row["image_id"]),
            }
            for row in pictures
        ],
    )


def _pictures(facts: ReportFacts) -> list[dict[str, Any]]:
    """At most 24 different ones: half the highest, then the nearest and the lowest."""
    chosen: dict[str, dict[str, Any]] = {}
    for rows, until in (
        (facts.highest, N_PICTURES // 2),
        (facts.nearest, N_PICTURES * 3 // 4),
        (facts.lowest, N_PICTURES),
    ):
        for row in rows:
            if len(chosen) >= until:
                break
            chosen.setdefault(row["image_id"], row)
    return sorted(chosen.values(), key=lambda row: -row["prob_fake"])
