"""The bench of questions times every way to ask, and says what it compares with."""

import json

from langfield.commands import bench_query as bench
from langfield.commands.bench_options import QueryBench
from langfield.query.similarity import Similarity


def test_every_question_is_timed(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", ((40, 24),))
    found = bench.bench_query(QueryBench(gaussians=300, drawn=100, repeats=2))
    assert [row["what"] for row in found["rows"][:4]] == [
        "once per field", "text, three levels", "new camera", "still camera"
    ]  # fmt: skip
    assert all(row["ms"] >= row["least_ms"] > 0 for row in found["rows"][1:])
    assert "40x24" in found["table"]
    assert json.loads(json.dumps(found)) == found


def test_a_made_up_field_answers_differently_to_different_texts():
    gaussians, _ = bench.random_scene(50, 40, 24)
    similarity = Similarity(bench.made_up(gaussians))
    one, other = (similarity.relevancy(bench.question(seed)) for seed in (0, 1))
    assert one.shape == (1, 3, 50)
    assert not one.equal(other)
