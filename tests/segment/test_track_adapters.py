"""Other trackers behind the slot: SAM 2's video predictor and trackers that walk through once, played by stand-ins."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from langfield.errors import EnvironmentProblem, FormatError, LangfieldError, SettingsError
from langfield.segment.track import TrackSettings, tracker, tracker_identity
from langfield.segment.track_online import detections_of
from langfield.segment.track_sam2 import Sam2Tracker
from tests.videos import Film, agreement, broken, film, straight
from tests.walkers import Walker

T = 12
SETTINGS = TrackSettings(least_frames=3)


def two_things() -> Film:
    return film([straight((8, 10), (40, 12), T), straight((100, 60), (70, 66), T)])


class Predictor:
    """Plays SAM 2: knows the truth, and follows what the mask it is shown covers most of."""

    def __init__(self, made: Film) -> None:
        self.made, self.shown = made, list[tuple[int, int]]()
        self.start, self.thing = -1, 0

    def init_state(self, video_path: str) -> dict[str, int]:
        names = sorted(p.name for p in Path(video_path).iterdir())
        assert names == [f"{t:05d}.jpg" for t in range(T)]
        picture = np.asarray(Image.open(Path(video_path) / names[3]))
        assert np.abs(picture.astype(int) - self.made.pictures[3]).mean() < 5
        return {}

    def reset_state(self, state: dict[str, int]) -> None:
        self.start = -1

    def add_new_mask(self, state: dict[str, int], frame_idx: int, obj_id: int, mask: torch.Tensor) -> None:
        assert self.start == -1
        self.start, self.thing = frame_idx, int(np.bincount(self.made.truth[frame_idx][mask.numpy()]).argmax())
        self.shown.append((self.thing, frame_idx))

    def propagate_in_video(self, state: dict[str, int], start_frame_idx: int, reverse: bool):
        assert start_frame_idx == self.start
        for t in range(self.start, -1, -1) if reverse else range(self.start, T):
            inside = torch.from_numpy(self.made.truth[t] == self.thing)
            yield t, [self.thing], torch.where(inside, 8.0, -8.0)[None, None]


def test_sam2_draws_what_the_flow_tracker_found():
    made = two_things()
    predictor = Predictor(made)
    maps = list(Sam2Tracker(predictor, SETTINGS).track(broken(made, 0)))
    for thing in (0, 1, 2):
        moved = [(ids == thing).astype(int) for ids in made.truth]
        assert agreement(maps, moved, 1) == (1.0, [int(maps[0][moved[0] == 1][0])])
    assert sorted({thing for thing, _ in predictor.shown}) == [0, 1, 2]


def test_a_walker_is_given_detections_now_and_then_and_its_numbers_become_ours():
    made = film([straight((8, 10), (20, 12), T), straight((100, 60), (92, 62), T)])
    settings = TrackSettings("online:tests.walkers:Walker", least_frames=3)
    maps = list(tracker(settings).track(broken(made, 0, missing=0)))
    assert Walker.asked == [t % 5 == 0 for t in range(T)]
    assert sorted(np.unique(np.stack(maps)).tolist()) == [1, 2, 3]
    for thing in (1, 2):
        assert len(agreement([maps[t] for t in (0, 5, 10)], [made.truth[t] for t in (0, 5, 10)], thing)[1]) == 1
    assert tracker_identity(settings)["of"] == "1"
    with pytest.raises(FormatError, match="id map"):
        list(tracker(TrackSettings("online:tests.walkers:Broken")).track(broken(made, 0)))


def test_detections_are_the_largest_masks_there_are():
    shots = broken(two_things(), 3, missing=0.5)
    for shot in shots:
        found, whole = detections_of(shot), shot.segments.ids[2]
        assert (found[whole >= 0] == whole[whole >= 0] + 1).all()
        assert ((found > 0) == (shot.segments.ids >= 0).any(axis=0)).all()


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("sam2", SettingsError), ("sam2:tiny.yaml", SettingsError), ("sam2:tiny.yaml:/no/file.pt", FormatError),
        ("online:nothing", SettingsError), ("online:no_such_module:Name", EnvironmentProblem),
        ("online:tests.videos:Nobody", EnvironmentProblem),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(spec: str, error: type[LangfieldError]):
    with pytest.raises(error):
        tracker_identity(TrackSettings(spec))
    with pytest.raises(error):
        tracker(TrackSettings(spec))


def test_a_package_that_is_not_there_is_named(tmp_path: Path):
    checkpoint = tmp_path / "sam2.pt"
    checkpoint.write_bytes(b"weights")
    settings = TrackSettings(f"sam2:tiny.yaml:{checkpoint}")
    assert tracker_identity(settings)["config"] == "tiny.yaml"
    with pytest.raises(EnvironmentProblem, match="SAM 2"):
        tracker(settings)
