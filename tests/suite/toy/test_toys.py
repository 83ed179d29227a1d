"""The three trained toy CLIPs: they load safely, are small, and each can and cannot do what its card says."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.artefacts import read_tensors, write_tensors
from langfield.errors import FormatError, SettingsError
from langfield.suite.spec import clip_model
from langfield.suite.toy.captions import caption
from langfield.suite.toy.draw import draw
from langfield.suite.toy.exam import Pupil, examine, mirrored, patch_vectors, toy_pixels, world_scores
from langfield.suite.toy.model import FOLDER, NAMES, load_toy, weights_path
from langfield.suite.toy.pairs import toy_pairs
from langfield.suite.toy.scenes import make_scene, relation
from langfield.suite.toy.words import OPPOSITE

COUNT = 60


@pytest.fixture(scope="module")
def toys():
    return {name: load_toy(name) for name in NAMES}


@pytest.fixture(scope="module")
def scores(toys):
    return {name: examine(toy, count=COUNT, first_seed=10_000) for name, toy in toys.items()}


def test_good_binds_attributes_and_the_bag_of_words_does_not(scores):
    assert scores["good"]["attributes"] > 0.8
    assert scores["bag"]["attributes"] < 0.65
    assert scores["good"]["attributes"] > scores["bag"]["attributes"] + 0.2


def test_patches_of_dense_say_little_though_its_pictures_say_much(scores):
    assert scores["good"]["patches"] > scores["dense"]["patches"] + 0.4
    assert scores["dense"]["zero_shot"] > 0.5
    assert scores["dense"]["patches"] < 0.2


def test_only_good_learned_german(scores):
    assert scores["good"]["german"] > 0.7
    assert max(scores["bag"]["german"], scores["dense"]["german"]) < 0.15


def test_none_of_them_knows_left_from_right(scores):
    assert all(0.3 < found["roles"] < 0.7 and found["mirrored"] < 0.25 for found in scores.values())


def test_scores_are_those_of_the_card(toys, scores):
    page = (FOLDER / "README.md").read_text()
    for name, toy in toys.items():
        for key in ("zero_shot", "german", "attributes", "roles", "patches"):
            stated = toy.about["scores"][key]
            assert f"{stated:.3f}" in page
            spread = 4 * (0.25 / COUNT + 0.25 / 400) ** 0.5  # four deviations of a share here and on the card
            assert abs(scores[name][key] - stated) < spread, (name, key)


def test_files_are_small_and_half_precision(toys):
    assert sum(weights_path(name).stat().st_size for name in NAMES) < 10e6
    for name in NAMES:
        tensors, about = read_tensors(weights_path(name))
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
        assert about["licence"] == "Apache-2.0"
        assert about["recipe"]["seed"] == 0
        assert about["steps"] > 0


def test_damaged_and_strange_weights_are_refused(tmp_path: Path):
    with pytest.raises(SettingsError):
        load_toy("fourth")
    with pytest.raises(FormatError):
        load_toy("good", tmp_path)
    path = tmp_path / "good.safetensors"
    path.write_bytes(weights_path("good").read_bytes()[:1000])
    with pytest.raises(FormatError):
        load_toy("good", tmp_path)
    write_tensors(path, {"visual.proj": torch.zeros(2, 2)})
    with pytest.raises(FormatError):
        load_toy("good", tmp_path)
    shutil.copy(weights_path("bag"), path)
    assert load_toy("good", tmp_path).about["name"] == "toy:bag"


def test_the_suites_model_and_the_toy_give_the_same_vectors(toys):
    scenes = [make_scene(seed) for seed in range(6)]
    pictures, texts = [draw(scene).picture for scene in scenes], [caption(scene).short for scene in scenes]
    model, toy = clip_model("toy:good"), toys["good"]
    with torch.inference_mode():
        images = toy.model.encode_image(toy_pixels(pictures), normalize=True)
        torch.testing.assert_close(model.encode_images(pictures), images, rtol=0, atol=1e-5)
        said = toy.model.encode_text(toy.tokenizer(texts), normalize=True)
        torch.testing.assert_close(model.encode_texts(texts), said, rtol=0, atol=1e-5)
        patches = model.image_patches(model.pixels(pictures)).flatten(1, 2)
        torch.testing.assert_close(patches, patch_vectors(toy.model, toy_pixels(pictures)), rtol=0, atol=1e-5)
    assert model.context_length == toy.tokenizer.context_length == 20


def test_the_exam_scores_a_perfect_pupil_perfectly():
    """A pupil that sees scenes as they are; texts and pictures meet in a table made by hand."""
    scenes = {
        draw(make_scene(seed, 1 + (seed >= 20))).picture.tobytes(): make_scene(seed, 1 + (seed >= 20))
        for seed in range(40)
    }
    scenes |= {draw(mirrored(scene)).picture.tobytes(): mirrored(scene) for scene in list(scenes.values())}
    names: dict[str, int] = {}

    class Oracle:
        name, dim, provenance = "oracle", 4096, {}

        def encode_images(self, images):
            return self.encode_texts([caption(scenes[image.tobytes()]).short for image in images])

        def encode_texts(self, texts):
            bare = [text.replace("a photo of ", "").replace("a picture of ", "") for text in texts]
            bare = [text.replace("an image of ", "").replace("there is ", "") for text in bare]
            rows = [names.setdefault(text, len(names)) for text in bare]
            return torch.nn.functional.one_hot(torch.tensor(rows), self.dim).float()

    found = world_scores(Pupil(Oracle(), Oracle()), 20, 0)
    for key in ("zero_shot", "attributes", "roles", "mirrored"):
        assert found[key] == 1, key
    assert found["german"] == 0


def test_mirroring_turns_every_relation():
    for seed in range(30):
        scene = make_scene(seed, 3)
        twin = mirrored(scene)
        for thing, again in zip(scene.things, mirrored(twin).things, strict=True):
            assert (again.x, again.y) == pytest.approx((thing.x, thing.y))
        for i in range(3):
            for j in range(i):
                assert relation(twin.things[i], twin.things[j]) == OPPOSITE[relation(scene.things[i], scene.things[j])]


def test_scenes_as_pairs():
    scenes = [make_scene(seed) for seed in range(12)]
    pairs = toy_pairs(scenes, german=True)
    assert pairs.pictures is not None
    for row, scene in enumerate(scenes):
        said = caption(scene)
        assert (pairs.pictures[row] == draw(scene).picture).all()
        assert [c.text for c in pairs.of(row, "short")] == [said.short, said.german]
        assert len(pairs.of(row, "negative")) == (1 if len(scene.things) == 1 else 3)
    assert not toy_pairs(scenes, negatives=False).of(1, "negative")
    assert np.asarray(pairs.pictures[0]).dtype == np.uint8
