"""The summary that a run leaves on a Prefect server."""

from assay.flows.flow_runs.artifacts import summary_markdown
from assay.flows.results.moderation import Moderation

RESULT = Moderation(
    run_id="20261126T040000Z-00000000",
    lake="s3://bucket/lake",
    batch_id="b-0",
    items=1200,
    stored=1197,
    rejected=3,
    rejected_by_reason={"truncated": 2, "from_elsewhere": 1},
    scored=1197,
    decisions={"clear": 1100, "review": 90, "flag": 7},
    report="s3://bucket/lake/reports/20261126T040000Z-00000000.html",
    detector="mini@e4cd87900624",
    precision="fp32",
    backend="openvino-cpu",
    backend_why="27.2 images/s against 9.9 of torch-cpu",
    again="assay moderate /srv/in --lake s3://bucket/lake",
)


def summary(**changes):
    values = {name: getattr(RESULT, name) for name in RESULT.to_json()}
    return summary_markdown(Moderation(**values | changes), title="a *run*", host="worker-1")


def test_the_summary_tells_counts_reasons_backend_and_how_to_go_on():
    """What was decided, what to do about what was rejected, and the commands for both."""
    text = summary()
    assert text.startswith("# a \\*run\\*\n")
    assert "| items | 1,200 |" in text
    assert "| decided flag | 7 (0.6%) |" in text
    assert "## Rejected items: 3 of 1,200" in text
    assert "- 2 `truncated`, incomplete file. Copy or download the file again in full." in text
    assert "`mini@e4cd87900624` in fp32 on `openvino-cpu`" in text
    assert "```sh\nassay moderate /srv/in --lake s3://bucket/lake\n```" in text


def test_a_report_is_named_by_where_it_is():
    """A path is no link on another machine; the command that opens the report works on both."""
    assert "`s3://bucket/lake/reports/" in summary()
    local = summary(lake="/srv/lake", report="/srv/lake/reports/r.html")
    assert "`/srv/lake/reports/r.html`, a file on `worker-1`" in local
    assert "assay report 20261126T040000Z-00000000 --open --lake /srv/lake" in local
    assert "](" not in local


def test_a_run_without_scores_has_no_detector_and_no_report():
    """An ingest has its counts and its lake."""
    text = summary(detector=None, decisions={}, report=None, again=None, rejected=0)
    assert "scored" not in text
    assert "Report" not in text
    assert text.endswith("## Lake\n\nLake: `s3://bucket/lake`\n")
