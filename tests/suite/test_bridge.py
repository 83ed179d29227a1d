"""The text bridge: the shipped file's numbers on names it never saw, and training on a made-up language."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from langfield.errors import EnvironmentProblem, FormatError, QueryError, SettingsError
from langfield.suite import bridge as bridge_module
from langfield.suite.bridge import FILE, TextBridge
from langfield.suite.bridge_eval import names_report
from langfield.suite.bridge_train import Recipe, held_out_rows, train
from langfield.suite.bridge_words import Lexicon, segment
from langfield.suite.tables import Table, plain_name, read_tables, write_table


def test_shipped_bridge_finds_names_it_never_saw(bridge, tables_folder):
    trained = bridge.about["trained"]
    recipe = Recipe(held_out=trained["held_out"], seed=trained["seed"])
    report = names_report(bridge, read_tables(tables_folder), recipe)
    assert report["all"].names == 240
    assert report["all"].right >= 0.86
    assert report["all"].among_five >= 0.97
    assert report["in no other table"].right >= 0.6
    assert report["in no other table"].among_five >= 0.92


def test_shipped_bridge_holds_no_vector_of_a_held_out_name(bridge, tables_folder):
    anchors = next(t for t in read_tables(tables_folder) if t.target is not None)
    held = {plain_name(anchors.names[i]) for i in held_out_rows(1203, Recipe())}
    kept = {plain_name(n) for i, n in enumerate(anchors.names) if i not in set(held_out_rows(1203, Recipe()))}
    assert not (held - kept) & set(bridge._anchor_rows)


def test_shipped_bridge_is_sensible_and_small(bridge):
    words = ["a teddy bear", "stuffed toy animal", "car", "object", "things", "stuff", "texture", "walrus"]
    vectors = bridge.encode_texts(words)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(words)))
    torch.testing.assert_close(vectors, bridge.encode_texts(words), atol=0, rtol=0)
    torch.testing.assert_close(vectors[7:], bridge.encode_texts(words[7:]), atol=1e-5, rtol=0)
    close = vectors @ vectors.T
    assert close[0, 1] > close[0, 2]
    assert (bridge_module.FOLDER / FILE).stat().st_size <= 12_000_000
    assert "non-commercial" in bridge.provenance["licence"]
    assert bridge.encode_texts([]).shape == (0, 512)


def test_texts_without_a_word_are_refused(tmp_path):
    made = _bridge(tmp_path)
    for text in ("", "  ", "?!"):
        with pytest.raises(QueryError, match="has no word in it"):
            made.encode_texts([text])


class Letters:
    """A sentence encoder of the tests: counts of letters."""

    def encode(self, texts):
        counts = torch.tensor([[t.count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts]).float()
        return torch.nn.functional.normalize(counts, dim=1)


def _language() -> list[Table]:
    """A language whose phrases mean what their words mean, in one space and in a turned copy of it."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(120)]
    centre = rng.normal(size=16)
    meaning = {w: centre + rng.normal(size=16) for w in words}
    turn = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    pairs = [tuple(rng.choice(words, 2, replace=False)) for _ in range(60)]
    phrases = {f"{a}_{b}": (meaning[a] + meaning[b]) / 2 for a, b in pairs}

    def unit(values):
        array = np.array(list(values), np.float32)
        return array / np.linalg.norm(array, axis=1, keepdims=True)

    known = {**{w: meaning[w] for w in words[:60]}, **phrases}
    anchors = Table("anchors", tuple(known), unit(known.values()), None)
    other = Table("other", tuple(words), None, unit(v @ turn for v in meaning.values()))
    return [anchors, other]


def _bridge(folder) -> TextBridge:
    train(_language(), Letters(), Recipe(held_out=30), folder)
    return TextBridge(folder, Letters())


def test_training_learns_a_language_of_composed_phrases(tmp_path):
    report = names_report(_bridge(tmp_path), _language(), Recipe(held_out=30))
    assert report["all"].right > 0.9
    assert report["in no other table"].right > 0.8
    first = (tmp_path / FILE).read_bytes()
    _bridge(tmp_path)
    assert (tmp_path / FILE).read_bytes() == first


def test_tables_that_do_not_suffice_are_said():
    anchors, other = _language()
    with pytest.raises(SettingsError, match="no table holds vectors of the target space"):
        train([other], Letters(), Recipe(held_out=0), bridge_module.FOLDER)
    renamed = Table("x", tuple(f"zz{n}" for n in other.names), None, other.source)
    with pytest.raises(SettingsError, match="too few names are common"):
        train([anchors, renamed], Letters(), Recipe(held_out=0), bridge_module.FOLDER)


def test_damaged_or_absent_artefacts_are_said(tmp_path):
    _bridge(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="safetensors"):
        TextBridge(tmp_path, Letters())
    path.unlink()
    with pytest.raises((EnvironmentProblem), match="not part of an installed wheel"):
        bridge_module.load(tmp_path)


def test_segments_are_the_longest_known_phrases():
    names = ["fish", "bowl", "teddy bear", "bear", "green"]
    lexicon = Lexicon({n: i for i, n in enumerate(names)}, np.eye(5, dtype=np.float32))

    def rows(text, skip=None):
        return [None if v is None else names[int(v.argmax())] for v in segment(text, lexicon, skip)]

    assert rows("the green Teddy Bears") == ["green", None, "bear"]
    assert rows("a green teddy bear") == ["green", "teddy bear"]
    assert rows("teddy bear", skip="teddy bear") == [None, "bear"]
    assert rows("fishbowl") == ["fish", "bowl"]


def test_a_written_table_reads_back(tmp_path):
    class Text:
        name, dim, provenance = "text", 26, {}

        def encode_texts(self, texts):
            return Letters().encode(texts)

    write_table(["cup", " ", "cup", "teddy bear "], Text(), tmp_path / "t.npz")
    (table,) = read_tables(tmp_path)
    assert table.names == ("cup", "teddy bear")
    assert table.target is not None
    np.testing.assert_allclose(np.linalg.norm(table.target, axis=1), 1, atol=1e-3)
    np.savez(tmp_path / "u.npz", names=np.array(["a"]), vit_b16=np.array([[np.nan]]))
    with pytest.raises(FormatError, match="one finite vector per name"):
        read_tables(tmp_path)
