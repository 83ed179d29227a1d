"""The dense encoder: patches against the plain tower, the upsampler's weighing, targets, loss, and what it gains."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate, normalize

from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.suite.dense import FILE, FOLDER, UP, Upsampler, Widths, load, read_upsampler
from langfield.suite.dense_train import (
    Lesson,
    Recipe,
    dense_loss,
    lesson,
    paint,
    pooled,
    train_upsampler,
    write_upsampler,
)
from langfield.suite.patches import STAGES, Patches, patch_vectors, whole_pixels
from langfield.suite.vit import Block, Vit

DIM, WIDTH = 12, 8
SMALL = Widths(early=2 * WIDTH, stem=8, guide=8, key=8)


def tiny_vit(seed: int = 0) -> Vit:
    """A tower of nine blocks, eight numbers wide, for pictures of 2 x 2 patches."""
    generator = torch.Generator().manual_seed(seed)

    def of(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    def pair(out: int, into: int) -> tuple[torch.Tensor, torch.Tensor]:
        return of(out, into), of(out)

    def norm() -> tuple[torch.Tensor, torch.Tensor]:
        return 1 + of(WIDTH), of(WIDTH)

    def block() -> Block:
        return Block(
            norm(), pair(3 * WIDTH, WIDTH), pair(WIDTH, WIDTH), norm(), pair(16, WIDTH), (of(WIDTH, 16), of(WIDTH))
        )

    blocks = tuple(block() for _ in range(9))
    return Vit(of(WIDTH, 768), 16, of(WIDTH), of(5, WIDTH), norm(), blocks, norm(), of(WIDTH, DIM), 2)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def patches(h: int, w: int, seed: int = 0) -> Patches:
    generator = torch.Generator().manual_seed(seed)
    vectors = normalize(torch.randn(DIM, h, w, generator=generator), dim=0)
    early = torch.randn(2 * WIDTH, h, w, generator=generator)
    return Patches(torch.randn(3, 16 * h, 16 * w, generator=generator), early, vectors)


def test_pictures_keep_their_shape():
    assert whole_pixels(picture(30, 40), 448).shape == (3, 336, 448)
    assert whole_pixels(picture(400, 8), 448).shape == (3, 448, 16)
    with pytest.raises(FormatError, match="RGB"):
        whole_pixels(picture(30, 40)[..., 0], 448)
    with pytest.raises(FormatError, match="patches"):
        whole_pixels(picture(64, 64), 4096)


def test_patches_hold_what_the_towers_own_blocks_hold():
    """Blocks run one by one on the tokens, as the plain tower runs them, give the same early stages."""
    from langfield.suite import vit as plain

    vit, pixels = tiny_vit(), whole_pixels(picture(32, 32), 32)
    found = patch_vectors(vit, pixels)
    x = plain._tokens(vit, pixels[None])
    kept = []
    for number, block in enumerate(vit.blocks[:-1]):
        x = plain.run_block(block, x, x.shape[1], vit.heads)
        if number in STAGES:
            kept.append(x[0, 1:].T.reshape(WIDTH, 2, 2))
    assert torch.allclose(found.early, torch.cat(kept), atol=1e-5)


def test_a_patch_vector_is_the_value_path_of_the_last_block():
    """Without MLP and residual, and with all tokens alike, attention gives every token its value."""
    vit, pixels = tiny_vit(), whole_pixels(picture(32, 32), 32)
    last, width = vit.blocks[-1], WIDTH
    from langfield.suite import vit as plain

    x = plain._tokens(vit, pixels[None])
    for block in vit.blocks[:-1]:
        x = plain.run_block(block, x, x.shape[1], vit.heads)
    for row in range(4):
        token = torch.nn.functional.layer_norm(x[0, 1 + row], (width,), *last.ln_1)
        value = last.qkv[0][2 * width :] @ token + last.qkv[1][2 * width :]
        out = torch.nn.functional.layer_norm(last.out[0] @ value + last.out[1], (width,), *vit.ln_post)
        found = patch_vectors(vit, pixels).vectors[:, row // 2, row % 2]
        assert torch.allclose(found, normalize(out @ vit.proj, dim=0), atol=1e-5)


def test_an_untrained_net_is_a_blur_of_patches_by_a_naive_twin():
    torch.manual_seed(0)
    net = Upsampler(SMALL)
    with torch.no_grad():
        for parameter in net.query.parameters():
            parameter.zero_()  # nothing looks alike: distance alone weighs
        given = patches(3, 4)
        found = net(given)
    assert found.shape == (DIM, 3 * UP, 4 * UP)
    for y, x in ((0, 0), (5, 7), (11, 15), (4, 8)):
        total = torch.zeros(DIM)
        row, column = y // UP, x // UP
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                at = (y + 0.5) / UP - 0.5, (x + 0.5) / UP - 0.5
                away = (row + dy - at[0]) ** 2 + (column + dx - at[1]) ** 2
                r, c = min(max(row + dy, 0), 2), min(max(column + dx, 0), 3)
                total += math.exp(-away / (2 * 0.7**2)) * given.vectors[:, r, c]
        assert torch.allclose(found[:, y, x], normalize(total, dim=0), atol=1e-5)


def test_pooled_and_painted_by_naive_twins():
    ids = torch.tensor([[[0, 0, -1], [0, -1, -1]], [[1, 1, 1], [-1, 2, -1]], [[3, 3, -1], [3, 3, -1]]])
    vectors = normalize(torch.randn(DIM, 2, 3, generator=torch.Generator().manual_seed(0)), dim=0)
    means = pooled(ids, vectors, 5)
    for row in range(4):
        total = sum(
            vectors[:, y, x] for level in range(3) for y in range(2) for x in range(3) if ids[level, y, x] == row
        )
        assert torch.allclose(means[row], normalize(torch.as_tensor(total), dim=0), atol=1e-6)
    assert not means[4].any()
    rows = torch.eye(4)
    target = paint(ids, rows)
    assert torch.allclose(target[:, 0, 0], normalize(rows[3] + rows[0], dim=0))  # coarsest and finest
    assert torch.allclose(target[:, 1, 1], normalize(rows[3] + rows[2], dim=0))
    assert torch.allclose(target[:, 0, 2], rows[1])
    assert not target[:, 1, 2].any()


def test_the_loss_is_that_of_a_naive_twin():
    generator = torch.Generator().manual_seed(0)
    found, target = (normalize(torch.randn(4, 2, 3, generator=generator), dim=0) for _ in range(2))
    valid = torch.tensor([[1, 0, 1], [0, 0, 1]]).bool()
    cosine = l1 = 0.0
    for y, x in ((0, 0), (0, 2), (1, 2)):
        cosine += 1 - sum(float(found[c, y, x] * target[c, y, x]) for c in range(4))
        l1 += sum(abs(float(found[c, y, x] - target[c, y, x])) for c in range(4)) / 2
    steps = [abs(float(found[c, 1, x] - found[c, 0, x])) for c in range(4) for x in range(3)]
    down = sum(steps) / 3 / 2
    steps = [abs(float(found[c, y, x + 1] - found[c, y, x])) for c in range(4) for y in range(2) for x in range(2)]
    across = sum(steps) / 4 / 2
    expected = 0.8 * cosine / 3 + l1 / 3 + 0.01 * (down + across)
    assert float(dense_loss(found, target, valid)) == pytest.approx(expected, rel=1e-5)


def made_lesson(seed: int, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    """A picture of two halves whose border runs through patches; patches know the sides, not where the border is."""
    import langfield.suite.dense_train as train

    monkeypatch.setattr(train, "SIDE_PX", 64)
    rng = np.random.default_rng(seed)
    border, height = int(rng.integers(18, 46)), 64
    image = np.zeros((height, 64, 3), np.uint8)
    image[:, :border], image[:, border:] = (220, 40, 30), (20, 60, 210)
    ids = np.where(np.arange(64) < border, 0, 1)[None, None].repeat(height, 1).repeat(3, 0).astype(np.int16)
    vectors = torch.eye(DIM)[:2]
    one = lesson(tiny_vit(), image, ids, vectors)
    share = interpolate(torch.from_numpy((ids[0] == 0).astype(np.float32))[None, None], (4, 4), mode="area")[0]
    mixed = normalize(share * vectors[0][:, None, None] + (1 - share) * vectors[1][:, None, None], dim=0)
    return Lesson(Patches(one.patches.pixels, one.patches.early, mixed.half()), one.ids, vectors.half())


def test_it_learns_edges_that_bilinear_patches_blur(monkeypatch):
    monkeypatch.setattr("langfield.suite.dense_train.Upsampler", lambda: Upsampler(SMALL))
    lessons = [made_lesson(seed, monkeypatch) for seed in range(6)]
    net = train_upsampler(lessons[:4], Recipe(steps=250, lr=6e-3)).eval()
    for unseen in lessons[4:]:
        given = Patches(*(t.float() for t in vars(unseen.patches).values()))
        rough = normalize(interpolate(given.vectors[None], scale_factor=UP, mode="bilinear")[0], dim=0)
        with torch.no_grad():
            away = [1 - float((maps * unseen.target()).sum(0).mean()) for maps in (net(given), rough)]
        assert away[0] < 0.6 * away[1]


def test_training_depends_on_the_seed_alone_and_needs_lessons(monkeypatch):
    monkeypatch.setattr("langfield.suite.dense_train.Upsampler", lambda: Upsampler(SMALL))
    lessons = [made_lesson(seed, monkeypatch) for seed in range(2)]
    one, two, other = (train_upsampler(lessons, Recipe(steps=3, seed=seed)) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.query.weight, other.query.weight)
    with pytest.raises(SettingsError):
        train_upsampler([], Recipe())


def test_a_written_net_comes_back_and_others_are_refused(tmp_path):
    torch.manual_seed(0)
    net = Upsampler()
    path = write_upsampler(tmp_path, net, {"note": "x"})
    assert path.stat().st_size < 10e6
    again, about = read_upsampler(path)
    assert about["note"] == "x"
    assert torch.equal(again.near, net.near.half().float())
    write_upsampler(tmp_path, Upsampler(SMALL), {})
    with pytest.raises(FormatError, match="not an upsampler"):
        read_upsampler(path)


@pytest.fixture(scope="module")
def encoder():
    try:
        return load()
    except EnvironmentProblem as problem:
        pytest.skip(str(problem))


def test_the_committed_net_gives_unit_vectors_at_a_quarter(encoder):
    found = encoder.encode(picture(60, 80))
    assert found.shape == (84, 112, 512)
    assert torch.allclose(found.norm(dim=-1), torch.ones(84, 112), atol=1e-4)
    assert (FOLDER / FILE).stat().st_size < 10e6
