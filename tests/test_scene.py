"""A run from disk, asked from Python and from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

import langfield
from langfield.artefacts import write_json, write_tensors
from langfield.capture.types import Capture, Frame, Points
from langfield.cli import main
from langfield.codec import Identity
from langfield.errors import LangfieldError, QueryError
from langfield.field.instances import Instances
from langfield.field.types import Field
from langfield.run import write_results
from langfield.scene import Scene
from langfield.segment import save_segments
from langfield.segment.types import Segments
from langfield.stages import FrameFeatures
from tests.blobs import CAMERAS, CENTRES, DIM, EACH, blob_gaussians, blob_ids

NOTHING = Points(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))
VECTORS = normalize(torch.eye(DIM)[[0, 1]] + 0.5 * torch.eye(DIM)[8], dim=-1)


def middle(ids: np.ndarray, row: int) -> tuple[int, int]:
    rows, columns = np.nonzero(ids == row)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(columns[nearest]), int(rows[nearest])


REGION = "view_0.png:{},{}".format(*middle(blob_ids(CAMERAS["view_0.png"])[2], 5))
"""A pixel on the cube."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the two blobs: a red ball and a blue cube; segments of the first view only."""
    run = tmp_path_factory.mktemp("run")
    things = Instances(
        VECTORS.half(), torch.tensor([4, 4]).int(), torch.ones(2), torch.tensor([0, EACH, 2 * EACH]),
        torch.arange(2 * EACH).int(), torch.tensor([[0, 0, 0], [1, 0, 1]]).int(),
    )  # fmt: skip
    codes = VECTORS.repeat_interleave(EACH, dim=0).repeat(3, 1, 1)
    field = Field(blob_gaussians(), codes, Identity(DIM), {}, instances=things)
    frames = tuple(Frame(name, run / name, camera, None) for name, camera in CAMERAS.items())
    first = frames[0]
    ids = blob_ids(first.camera)
    whole = np.array([[0, 0, 96, 72]] * 6, np.int32)
    features = FrameFeatures(run / "made.npz", run / "made.safetensors")
    save_segments(features.segments, Segments(ids, whole, np.arange(6, dtype=np.int16) // 2, np.ones(6, np.float32)))
    write_tensors(features.embeddings, {"vectors": VECTORS.repeat(3, 1).half()}, {})
    write_results(run, field, Capture(run, frames, NOTHING), {first.name: features})
    specs = {"text_encoder": "tests.blobs:Words", "image_encoder": "tests.blobs:Pictures"}
    write_json(run / "manifest.json", {"version": 1, "state": "finished", "settings": specs, "training_views": []})
    Image.fromarray(np.full((20, 30, 3), (0, 0, 255), np.uint8)).save(run / "blue.png")
    return run


@pytest.fixture(scope="module")
def scene(folder: Path) -> Scene:
    return langfield.load(folder)


def is_cube(rows: np.ndarray) -> bool:
    return len(rows) > 0.8 * EACH and bool((rows >= EACH).all())


def test_ask_and_select(scene: Scene):
    answer = scene.ask("cube")
    assert (answer.verdict, answer.text) == ("found", "cube")
    assert is_cube(answer.selection.rows)
    assert np.array_equal(scene.select("cube").rows, answer.selection.rows)
    assert answer.data() == langfield.ask(scene.run.field, scene.views, scene.text_encoder, "cube").data()
    assert scene.ask("gnu").verdict != "found"


def test_any_of_several(scene: Scene):
    answer = scene.ask(["gnu", "cube"])
    assert answer.text == "gnu or cube"
    assert is_cube(answer.selection.rows)


def test_negatives_are_asked_against(scene: Scene):
    assert scene.ask("cube", negatives=["cube"]).verdict == "not in this scene"


def test_by_picture_region_and_vector(scene: Scene, folder: Path):
    picture = np.asarray(Image.open(folder / "blue.png"))
    for asked in (
        scene.ask(image=folder / "blue.png"),
        scene.ask(image=picture),
        scene.ask(region=REGION),
        scene.ask(vector=scene.text_encoder.encode_texts(["cube"])[0]),
    ):
        assert is_cube(asked.selection.rows), asked.text
        assert asked.score > 0.5


def test_questions_that_cannot_be_asked(scene: Scene):
    with pytest.raises(QueryError, match="exactly one"):
        scene.ask()
    with pytest.raises(QueryError, match="exactly one"):
        scene.ask("cube", region="view_0.png:1,1")
    with pytest.raises(QueryError, match="no view has that name"):
        scene.ask(region="elsewhere.png:1,1")
    with pytest.raises(QueryError, match="keeps no segments"):
        scene.ask(region="view_1.png:40,30")
    with pytest.raises(QueryError, match="no view has that name"):
        scene.render("elsewhere.png")
    with pytest.raises(LangfieldError):
        scene.ask(image="missing.png")


def test_render(scene: Scene):
    view = "view_2.png"
    assert scene.render(view).shape == (72, 96, 3)
    depth, alpha = scene.render(view, "depth"), scene.render(CAMERAS[view], "alpha")
    ids = blob_ids(CAMERAS[view])[0]
    assert depth[alpha > 0.9].min() > 2
    assert depth[alpha > 0.9].max() < 4
    assert (depth[alpha == 0] == 0).all()
    relevancy = scene.render(view, "relevancy", "cube")
    assert relevancy[ids == 1].mean() > 0.8
    assert relevancy[ids == 0].mean() <= 0.51
    assert scene.relevancy(["cube", "ball"]).shape == (2, 3, 2 * EACH)


def test_names_and_export(scene: Scene, tmp_path: Path):
    named = scene.names(["gnu", "ball", "cube", "yak", "emu"])
    assert {(one.instance, one.name) for one in named} == {(0, "ball"), (1, "cube")}
    for one in named:
        assert one.selection.centroid is not None
        assert np.allclose(one.selection.centroid, CENTRES[one.instance], atol=0.1)
    path = tmp_path / "cube.ply"
    scene.export(path, scene.select("cube").rows)
    scene.export(tmp_path / "all.ply")
    assert 0 < path.stat().st_size < (tmp_path / "all.ply").stat().st_size


def run_query(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["query", *map(str, words)])
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out + shown.err


def test_command_several_texts_pictures_and_files(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, picture = tmp_path / "hits.json", tmp_path / "hit.png"
    code, text = run_query(capsys, folder, "cube", "ball", "--out", out, "--picture", picture)
    assert code == 0
    assert "cube: found" in text
    assert "ball: found" in text
    assert [one["text"] for one in json.loads(out.read_text())] == ["cube", "ball"]
    assert (tmp_path / "hit_1.png").is_file()
    assert (tmp_path / "hit_2.png").is_file()


def test_command_any_negatives_list_image_region(folder: Path, capsys: pytest.CaptureFixture[str]):
    asked = (
        (["gnu", "cube", "--any"], "gnu or cube"),
        (["cube", "--negatives", "cube", "ball"], "cube"),
        (["--image", folder / "blue.png"], "blue.png"),
        (["--region", REGION], REGION),
    )
    for words, name in asked:
        code, text = run_query(capsys, folder, *words, "--json")
        data = json.loads(text)
        assert (code, data["text"]) == (0, name)
        assert set(data) >= {"verdict", "presence", "note", "mask", "box_world"}
    listed = json.loads(run_query(capsys, folder, "cube", "ball", "gnu", "--list", "--json")[1])
    assert {one["name"] for one in listed} == {"ball", "cube"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "made of texts"),
        (["cube", "--image", "x.png"], "made of texts"),
        (["--region", "view_0.png:1"], "not a region"),
        (["--region", REGION, "--negatives", "cube"], "negatives are words"),
        (["--image", "missing.png"], "missing.png"),
        ([""], "empty"),
    ],
)
def test_command_errors_are_one_sentence(folder: Path, capsys, words, message: str):
    code, text = run_query(capsys, folder, *words)
    assert code == 1
    assert message in text
    assert text.startswith("error: ")
    assert text.count("\n") == 1
