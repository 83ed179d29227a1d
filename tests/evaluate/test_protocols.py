"""The table of protocols: every name can be asked for, and each does what its name says on the two-blob scene."""

from typing import get_args

import pytest

from langfield.commands.evaluate import ProtocolName, evaluate_protocol
from langfield.errors import FormatError
from langfield.evaluate.protocols import PROTOCOLS
from tests.evaluate.scored import FRAMES, NAMES, blob_subject, write_blob_labels


def test_the_command_knows_every_protocol():
    assert set(get_args(ProtocolName)) == set(PROTOCOLS)
    assert all(name == rules.name and rules.version >= 1 for name, rules in PROTOCOLS.items())


@pytest.mark.parametrize(("name", "asked"), [("lerf-ovs-2d", 4), ("lerf-ovs-3d", 4)])
def test_lerf_protocols_find_both_blobs(name, asked, tmp_path):
    labels = write_blob_labels(tmp_path / "label")
    found = evaluate_protocol(PROTOCOLS[name], blob_subject(), labels, tmp_path / "out")
    head = found.summaries[0]
    assert (head.source, head.queries, head.names) == ("field", asked, 2)
    assert head.value("mIoU") > 0.5
    assert set(head.metrics) == set(PROTOCOLS[name].metrics)
    assert any("view_2.png" in note for note in head.notes)
    assert len(found.outcome.losses) == 2  # view_1 was trained on and has features, view_2 was not
    assert {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()} == {
        "report.html", "queries.csv", "summary.json", "summary.txt",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["lerf-ovs-2d-held-out", "lerf-ovs-3d-held-out"])
def test_held_out_asks_only_what_was_not_trained_on(name, tmp_path):
    labels = write_blob_labels(tmp_path / "label")
    outcome = PROTOCOLS[name].score(blob_subject(), labels)
    assert {s.frame for s in outcome.scores["field"]} == {NAMES[2]}
    assert outcome.losses == ()
    assert set(outcome.scores) == {"field"}
    with pytest.raises(FormatError, match="none is held out"):
        PROTOCOLS[name].score(blob_subject(tuple(NAMES)), labels)


def test_held_out_rows_are_rows_of_the_full_protocol(tmp_path):
    """Held-out results are the same rows that the full protocol gives for those views."""
    labels = write_blob_labels(tmp_path / "label", FRAMES)
    rows = [(s.frame, s.text, s.iou) for s in PROTOCOLS["lerf-ovs-3d"].score(blob_subject(), labels).scores["field"]]
    held = PROTOCOLS["lerf-ovs-3d-held-out"].score(blob_subject(), labels).scores["field"]
    assert [(s.frame, s.text, s.iou) for s in held] == [r for r in rows if r[0] in NAMES[2:]]
