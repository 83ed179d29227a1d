"""A picture as a question: the ball it shows is found; what is too large or no picture is refused in a sentence."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from websockets.sync.connection import Connection

from langfield.capture.types import Frame
from langfield.codec.identity import Identity
from langfield.errors import FormatError
from langfield.field.types import Field
from langfield.run import Run
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.gate import Limits
from langfield.viewer.uploads import Uploads, uploaded_picture
from tests.tiny import BALLS, ColourEncoder, draw, ring_camera, tiny_gaussians
from tests.viewer.browser import until
from tests.viewer.wire import enter, greet, packed

GAUSSIANS, THING = tiny_gaussians()


class TinyRun(Run):
    """The tiny scene with what it truly is in its codes."""

    def text_encoder(self, spec: str | None = None) -> ColourEncoder:
        return ColourEncoder()

    def image_encoder(self) -> ColourEncoder:
        return ColourEncoder()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerApp]:
    codes = ColourEncoder().encode_texts([*BALLS, "table"])[THING].expand(3, -1, -1).contiguous()
    frames = tuple(Frame(f"{i}.png", Path(f"{i}.png"), ring_camera(i)) for i in range(3))
    field = Field(GAUSSIANS, codes, Identity(ColourEncoder.dim), {})
    manifest = {"settings": {}, "training_views": [f.name for f in frames]}
    page = ViewerApp(TinyRun(tmp_path_factory.mktemp("run"), manifest, field, frames), ViewerSettings(port=0))
    page.start()
    yield page
    page.stop()


def crop_of(ball: int) -> Image.Image:
    """Cut a ball out of a picture of the scene."""
    picture, masks = draw(GAUSSIANS, THING, ring_camera(0.4))
    ys, xs = np.nonzero(list(masks.values())[ball])
    return Image.fromarray(picture[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])


def file_of(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def upload(app: ViewerApp, page: Connection, name: str, content: bytes, announced: int | None = None) -> None:
    """Send a file in parts, as a page does."""
    assert app.panels is not None
    button, parts = app.panels.ask.upload._impl.uuid, [content[i : i + 1000] for i in range(0, len(content), 1000)]
    page.send(packed(
        "FileTransferStartUpload", source_component_uuid=button, transfer_uuid=name, filename=name,
        mime_type="image/png", part_count=len(parts), size_bytes=announced or len(content),
    ))  # fmt: skip
    for i, part in enumerate(parts):
        page.send(packed(
            "FileTransferPart", source_component_uuid=button, transfer_uuid=name, part_index=i, content=part
        ))  # fmt: skip


@pytest.mark.parametrize(("ball", "kind"), [(0, "PNG"), (1, "JPEG"), (2, "WEBP")])
def test_a_crop_of_a_ball_finds_that_ball(app: ViewerApp, ball: int, kind: str):
    name = f"<b>{ball}.{kind.lower()}"
    with enter(app) as page:
        greet(page)
        upload(app, page, name, file_of(crop_of(ball), kind))
        until(lambda: app.desk.document.query is not None and app.desk.document.query.text == f"picture {name}")
    query = app.desk.document.query
    assert query is not None
    assert set(THING[query.thing.rows]) == {ball}
    assert len(query.thing.rows) > 200
    assert not query.in_words


def test_what_is_no_picture_is_refused_in_a_sentence(app: ViewerApp):
    picture = file_of(crop_of(0), "PNG")
    with enter(app) as page:
        greet(page)
        for number, content in enumerate([b"not a picture", picture[: len(picture) // 2], b"<svg onload='x'/>"]):
            upload(app, page, f"wrong{number}.png", content)
            until(lambda number=number: f"wrong{number}.png" in app.desk.message)
            assert "is not a picture that can be read" in app.desk.message
            assert tempfile.gettempdir() not in app.desk.message
        upload(app, page, "right.png", picture)
        until(lambda: app.desk.document.query is not None and app.desk.document.query.text == "picture right.png")


def test_what_is_too_large_is_refused_in_a_sentence(app: ViewerApp):
    before = app.desk.document
    with enter(app) as page:
        greet(page)
        upload(app, page, "large.png", b"x", announced=Limits().upload_bytes + 1)
        until(lambda: app.desk.message == "⚠ Uploads are limited to 16 MiB.")
    assert app.desk.document is before
    with pytest.raises(FormatError, match=r"more than 50,000,000 pixels was uploaded \(bomb\.png\)"):
        uploaded_picture("a/bomb.png", file_of(Image.new("1", (10_000, 6_000)), "PNG"))


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 4), st.integers(0, 60)), max_size=60)


@given(STEPS)
def test_no_more_is_kept_than_was_announced_and_allowed(steps: list[tuple[str, int, int]]):
    """Sizes and parts at random; what a server gathers of those let through never passes the limit."""
    uploads, kept, parts = Uploads(100), dict[str, dict[int, int]](), dict[str, int]()
    for name, number, size in steps:
        if uploads.begins({"transfer_uuid": name, "size_bytes": size, "part_count": number}):
            assert name not in kept
            assert number > 0
            kept[name], parts[name] = {}, number
        if uploads.takes({"transfer_uuid": name, "part_index": number, "content": bytes(size // 2)}):
            assert number not in kept[name]
            kept[name][number] = size // 2
            if len(kept[name]) == parts[name]:
                del kept[name], parts[name]
        assert sum(sum(sizes.values()) for sizes in kept.values()) <= 100


def test_parts_in_any_order_are_one_file():
    uploads = Uploads(100)
    for _ in range(5):  # what has come whole makes room for the next
        assert uploads.begins({"transfer_uuid": "a", "size_bytes": 100, "part_count": 4})
        assert not uploads.begins({"transfer_uuid": "b", "size_bytes": 1, "part_count": 1})
        for i in torch.randperm(4).tolist():
            part = {"transfer_uuid": "a", "part_index": i, "content": bytes(25)}
            assert uploads.takes(part)
            assert not uploads.takes(part)
