"""Similar images as text for a terminal."""

from __future__ import annotations

from ..pages.captions import cut, score_text, visible
from .result import Similar


def list_similar(similar: Similar) -> str:
    """Return the result for a terminal: the query, the method, one line per neighbour."""
    query = similar.query
    facts = [score_text(query.prob_fake), query.decision, query.label]
    lines = [f"query   {visible(similar.query_name)}  " + "  ".join(filter(None, facts))]
    if query.image_id:
        lines.append(f"        {query.image_id}")
    lines.append(f"by      {similar.by}; {similar.subtitle()}")
    if similar.query_precision and similar.key and similar.query_precision != similar.key.precision:
        lines.append(
            f"note    the query was embedded in {similar.query_precision}, the lake's images in"
            f" {similar.key.precision}: cosines are good to about 0.001"
        )
    rows = [("rank", "image", "cosine", "bits", "score", "decision", "label", "source")]
    for neighbour in similar.neighbours:
        known = neighbour.known
        rows.append(
            (
                str(neighbour.rank),
                (known.image_id or "")[:12],
                "-" if neighbour.similarity is None else f"{neighbour.similarity:.4f}",
                str(neighbour.hamming_bits),
                score_text(known.prob_fake),
                known.decision or "-",
                known.label or "-",
                cut(known.source_uri or "-"),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines.append("")
    for row in rows:
        cells = [
            value.rjust(width) if column in {0, 2, 3, 4} else value.ljust(width)
            for column, (value, width) in enumerate(zip(row[:-1], widths, strict=True))
        ]
        lines.append("  ".join([*cells, row[-1]]))
    if len(similar.neighbours) < similar.k:
        lines.append(
            f"\n{len(similar.neighbours)} of {similar.k} requested: the lake has no other images"
        )
    return "\n".join(lines)
