"""Descriptions of the lake's tables and columns; `schema.TABLES` has their types."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

ROW_TEXTS: Final[dict[str, str]] = {
    "images": "One row per distinct image content.",
    "sightings": "One row per item of a batch, and a further row for each change of its status.",
    "scores": "One row per image and score key: detector, weights, profile and precision.",
    "views": "One row per tile of an image and score key, from runs with `--views`.",
    "deliveries": "One row per image, score key and delivery, from runs with `--delivery`.",
    "measures": "One row per image whose pixels were measured for rules or lists of hashes.",
    "decisions": "One row per image, score key and policy, and a further row for each change.",
    "reviews": "One row per answer of a reviewer, and one per answer that was taken back.",
    "golden": "One row per change of a golden item, whose label is known; the latest row counts.",
    "appeals": "One row per event of an appeal: opened, upheld or overturned.",
    "synthetics": "One row per synthetic image.",
    "audits": "One row per image that an audit drew.",
    "known_hashes": "One row per hash of a list of known images.",
    "calibrations": "One row per calibration for all images, and one per domain of its own.",
    "forgotten": "Two rows per image that `assay forget` forgets: the request, and its completion.",
    "runs": "One row per change of a run's status; the latest row counts.",
}
_KEY: Final = {
    "detector": "Id of the detector, `name@version`",
    "weights_sha256": "SHA-256 of the weights, or `unverified:` and a hash of the detector's card",
    "profile": "Full description of the preprocessing",
    "precision": "Number format of the network: fp32, bf16, fp16, or int8 with a hash",
}
_SCORED: Final = _KEY | {
    "image_id": "Id of the image",
    "backend": "Library and device that ran the network",
    "status": "Outcome: scored or failed",
    "reason": "Reason of a failure",
    "logit": "Output of the detector, any real number, positive towards AI-generated",
    "run_id": "Id of the run that scored the image",
    "scored_at": "Time of the score",
}
COLUMN_TEXTS: Final[dict[str, dict[str, str]]] = {
    "images": {
        "image_id": "SHA-256 of the encoded bytes, 64 hex digits",
        "shard": "Name of the shard with the bytes, below the lake's root",
        "row_group": "Index of the row group in the shard, from 0",
        "row": "Index of the row in the row group, from 0",
        "n_bytes": "Size of the encoded image in bytes",
        "format": "File format: JPEG, PNG, WEBP, AVIF, GIF or BMP",
        "mode": "Pillow's mode of the decoded pixels, such as RGB, L or CMYK",
        "width_px": "Width in pixels as stored, before the EXIF orientation is applied",
        "height_px": "Height in pixels as stored, before the EXIF orientation is applied",
        "n_frames": "Number of frames, 1 for a still image, at most 10,000 for a GIF",
        "phash": "Perceptual hash of 64 bits, 16 hex digits",
        "phash_of": "Pixels of the perceptual hash: `upright`; null for pixels as stored",
        "jpeg_quality": "JPEG quality in [1, 100], estimated from the quantisation tables",
        "capture": "Make, model and software of the camera or program, from the metadata",
        "ai_declared": "Declaration of AI generation in the metadata",
        "doubt": "Reason why viewers may show a different image from the one scored",
        "batch_id": "Id of the batch with the first sighting",
        "ingested_at": "Time of the first ingest",
    },
    "sightings": {
        "batch_id": "Id of the item's batch",
        "source_uri": "URI of the item, without secrets",
        "status": "Outcome: stored, duplicate or rejected",
        "reason": "Reason of a rejection or a duplicate",
        "detail": "Detail of the reason, at most 200 characters",
        "image_id": "Id of the image; null for a rejected item",
        "domain": "Domain of the item, for the policy's thresholds",
        "label": "Label given by the source: real, fake, laundered or unsure",
        "fingerprint": "Size and time, ETag or checksum; bytes are read again after a change",
        "seen_at": "Time of the ingest",
    },
    "scores": _SCORED
    | {
        "prob_fake": "Sigmoid of the logit, in [0, 1]; not calibrated",
        "embedding": "Embedding of the image; null for a detector without one",
        "code_version": "Version of assay",
    },
    "views": _SCORED
    | {
        "view": "Name of the tile",
        "left_px": "Left edge of the tile in the upright image, in pixels",
        "top_px": "Top edge of the tile in the upright image, in pixels",
        "side_px": "Side of the square tile in pixels",
    },
    "deliveries": _SCORED | {"delivery": "Name of the delivery, such as `jpeg-50`"},
    "measures": {
        "image_id": "Id of the image",
        "reason": "Reason of a failure",
        "detail": "Contrast of the finest octave by that of the next; low after an enlargement",
        "flat_share": "Share of neighbouring pixels with equal luma, in [0, 1]",
        "n_colours": "Number of colours that cover nine tenths of the image, 1 to 4,096",
        "pdq": "Perceptual hash PDQ of 256 bits, 64 hex digits",
        "measured_at": "Time of the measurement",
    },
    "decisions": _KEY
    | {
        "image_id": "Id of the image",
        "policy_id": "Name of the policy, and a hash of its rules",
        "calibration_id": "Id of the calibration behind `p_real` and `prob_calibrated`",
        "prob_calibrated": "Calibrated probability that the image is AI-generated, in [0, 1]",
        "p_real": "P-value in (0, 1]: share of comparable real images with a score as high",
        "p_domain": "P-value in (0, 1]: share of labelled real images as far from all others",
        "decision": "Decision: clear, review or flag",
        "reasons": "Reasons of the decision, at least one",
        "group_id": "Group of copies, under a policy that decides copies together",
        "run_id": "Id of the run that decided",
        "decided_at": "Time of the decision",
        "inputs_sha256": "Hash of what the decision was made from",
        "log_index": "Position in the log of its run, from 0",
        "previous_sha256": "Hash of the row before it in the log",
    },
    "reviews": {
        "image_id": "Id of the image",
        "label": "Label: real, fake, laundered or unsure",
        "reviewer": "Name of the reviewer",
        "note": "Note of the reviewer",
        "reviewed_at": "Time of the answer",
        "answer_id": "Id of the answer, 32 hex digits chosen by the client",
        "reason": "Reason of the answer, one of a closed list",
        "shown": "Facts shown beside the image: score, map, reasons, neighbours",
        "seconds": "Time from the display of the image to the answer, in seconds",
        "origin": "Interface of the answer: page, notebook, command or import",
        "kind": "Occasion of the answer: queue, grid, golden, audit, second, appeal or import",
        "withdraws": "Id of the answer that the row takes back; such a row is no answer",
        "run_id": "Id of the run whose decision was shown",
    },
    "golden": {
        "image_id": "Id of the image",
        "label": "Known label: real, fake or laundered",
        "set_by": "Name of the person who set it",
        "set_at": "Time of the change",
        "is_active": "Whether the image is a golden item from then on",
    },
    "appeals": {
        "appeal_id": "Id of the appeal, 32 hex digits",
        "image_id": "Id of the image",
        "event": "Event: opened, upheld or overturned",
        "label": "Contested label if opened, otherwise the label that was found",
        "text": "Text of the appellant or of the reviewer",
        "by": "Name of the appellant or of the reviewer",
        "answer_id": "Id of the answer that decided",
        "at": "Time of the event",
    },
    "synthetics": {
        "image_id": "Id of the synthetic image",
        "parent_id": "Id of the parent image; null for an image without one",
        "method": "Synthesis method of the plan",
        "generator": "Id of the generator or autoencoder",
        "lora": "LoRA adapters with their weights",
        "prompt": "Prompt",
        "negative_prompt": "Negative prompt",
        "seed": "Seed of the image",
        "steps": "Number of denoising or gradient steps",
        "guidance": "Guidance scale",
        "strength": "Denoising share in [0, 1]; epsilon in levels or box of an attack",
        "params": "JSON: settings, plan, job key and notes of the method",
        "label": "Label: fake or laundered",
        "license_flags": "Conditions of the generator's licence",
        "run_id": "Id of the run that made the image",
        "created_at": "Time of creation",
    },
    "audits": _KEY
    | {
        "audit_id": "Id of the audit",
        "image_id": "Id of the image",
        "stratum": "Decision by which it was drawn: clear, review or flag",
        "n_stratum": "Number of images with that decision",
        "n_drawn": "Number of those that were drawn: each with probability n_drawn / n_stratum",
        "policy_id": "Policy of the decision",
        "seed": "Seed of the draw",
        "drawn_at": "Time of the draw",
    },
    "known_hashes": {
        "hash": "PDQ hash of 256 bits, 64 hex digits",
        "list_name": "Name of the list",
        "decision": "Decision on images that match: review or flag",
        "note": "Note of the list on the hash",
        "added_at": "Time of the addition",
    },
    "calibrations": _KEY
    | {
        "calibration_id": "`c-` and a hash of the content",
        "guarantee": "Requested guarantee, such as `fpr=1%@95%`",
        "domain": "Domain of the images; null for all together",
        "real_logits": "Ascending logits of the labelled real images, one per group of copies",
        "references": "Embeddings of labelled real and fake images, of unit length",
        "real_distances": "Ascending distance of each real one to the nearest other",
        "facts": "Thresholds, probability map and measures, as JSON",
        "created_at": "Time of the calibration",
    },
    "forgotten": {
        "image_id": "Id of the image, whose bytes are refused from then on",
        "is_erased": "Whether nothing of the image is left; False in the row of the request",
        "reason": "Reason given for it",
        "by": "Name of the person who requested it",
        "at": "Time of the request or of its completion",
    },
    "runs": {
        "run_id": "Id of the run",
        "flow": "Command or flow",
        "status": "Status: running, completed, failed or interrupted",
        "params": "JSON: settings, sources, score key and versions",
        "config_sha256": "Hash of the settings",
        "code_version": "Version of assay",
        "started_at": "Time of the start",
        "finished_at": "Time of the end; null for a running one",
        "counts": "JSON: counts of the run; null for a running one",
    },
}


def kind_text(kind: pa.DataType) -> str:
    """Return the type of a column in words."""
    if pa.types.is_timestamp(kind):
        return "time, UTC"
    if pa.types.is_struct(kind):
        return "struct of " + ", ".join(field.name for field in kind)
    if pa.types.is_list(kind):
        return f"list of {kind_text(kind.value_type)}"
    return {"string": "text", "float": "float32", "bool": "true or false"}.get(str(kind), str(kind))
