"""The measurement runs the map that it names, and its parts add up."""

from langfield.online.measure_language import made_updates, measure_updates


def test_the_parts_of_an_update_are_measured():
    wall, shows = made_updates(500, 4, (40, 30))
    found = measure_updates(wall, shows)
    assert found["gaussians"] == 500
    assert found["keyframes"] == 4
    assert found["segments"] == 110
    assert found["bytes_per_keyframe"] > 3 * 40 * 30 * 2
    for part in ("update", "add", "look", "codebook", "solve", "things"):
        assert found[part]["wall_ms"] > 0
    assert found["update"]["wall_ms"] >= found["add"]["wall_ms"]
