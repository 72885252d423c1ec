"""`assay audit report`: what an audit says of all images."""

from __future__ import annotations

import json

from ..options import AsJson, LakeUri, open_lake


def report(audit: str | None = None, /, *, lake: LakeUri = None, json_: AsJson = False) -> None:
    """Print prevalence, precision and recall by an audit, with intervals of 95 %.

    Args:
        audit: Id of the audit [default: the last one drawn].
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
    """
    from ....tasks.audit.audits import audit_json, audit_text, read_audit

    opened = open_lake(lake)
    found = read_audit(opened, audit)
    values = {"lake": opened.uri, **audit_json(found)}
    print(json.dumps(values) if json_ else audit_text(found))  # noqa: T201
