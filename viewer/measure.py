"""What a question costs on the page: from its arrival to the last byte sent, on a made-up scene of any size."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec.msgpack
import numpy as np
import torch
import viser
from torch.nn.functional import normalize
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from langfield.codec.codebook import Codebook, CodebookSettings
from langfield.field.types import Field
from langfield.progress import track
from langfield.raster.types import Gaussians
from langfield.run import Run
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.shard_app import ShardApp

DIM, THINGS = 512, 48
QUIET_S = 0.04
"""Nothing sent for so long: all is sent (the server gathers messages for 17 ms)."""
FLOOD_PER_S = 200
PAUSE_S = 0.15
"""Between two questions of a calm page, which stays below the rate at which questions are refused."""
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, 0.0, 3.0), "fov": 0.8,
    "near": 0.1, "far": 100.0, "image_height": 720, "image_width": 1280, "look_at": (0.0, 0.0, 0.0),
    "up_direction": (0.0, 1.0, 0.0),
}  # fmt: skip


class Hashes:
    """An encoder that gives every text a vector of its own; encoding takes no time, so that the page is measured."""

    name, dim = "hashes", DIM
    provenance: dict[str, Any] = {}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Give unit vectors."""
        seeds = [int.from_bytes(hashlib.sha256(t.encode()).digest()[:4], "little") for t in texts]
        rows = [np.random.default_rng(s).standard_normal(DIM, dtype=np.float32) for s in seeds]
        return normalize(torch.from_numpy(np.stack(rows)), dim=1)


class MadeUp(Run):
    """A run that asks with hashes."""

    def text_encoder(self, spec: str | None = None) -> Hashes:  # noqa: ARG002
        """Give the encoder."""
        return Hashes()


def made_up(count: int, folder: Path) -> MadeUp:
    """Give a run of 48 round things called "thing 0" and so on over a floor, with codes of a codebook."""
    dice = torch.Generator().manual_seed(0)
    kind = torch.randint(0, 2 * THINGS, (count,), generator=dice).clamp_max(THINGS)  # about half are floor
    centres = torch.rand(THINGS, 3, generator=dice) * torch.tensor([10.0, 10.0, 0.5])
    shell = normalize(torch.randn(count, 3, generator=dice), dim=1) * 0.35
    floor = torch.rand(count, 3, generator=dice) * torch.tensor([10.0, 10.0, 0.01])
    means = torch.where((kind < THINGS)[:, None], centres[kind.clamp_max(THINGS - 1)] + shell, floor)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(count, 4).clone()
    sh = torch.rand(count, 1, 3, generator=dice) - 0.5
    log_scales = torch.full((count, 3), -4.0) + 0.3 * torch.randn(count, 3, generator=dice)
    gaussians = Gaussians(means, quats, log_scales, torch.full((count,), 3.0), sh)
    names = [f"thing {i}" for i in range(THINGS)] + ["floor"]
    basis = normalize(torch.randn(1025, DIM, generator=dice), dim=1)
    basis[: len(names)], basis[-1] = Hashes().encode_texts(names), 0.0
    codec = Codebook(basis, 2.0 / 63, CodebookSettings(), {})
    words = codec.encode(Hashes().encode_texts(names))
    field = Field(gaussians, words[kind].expand(3, -1, -1).clone(), codec, {"image_encoder": {"name": "made up"}})
    return MadeUp(folder, {"settings": {"text_encoder": "hashes"}, "training_views": []}, field, ())


class Page:
    """The wire's other end: takes everything in, as a browser would, and throws it away."""

    def __init__(self, app: ViewerApp | ShardApp) -> None:
        cookie = f"{app.gate.cookie}={app.gate.owner.secret}"
        self._socket = connect(
            f"ws://127.0.0.1:{app.port}", subprotocols=[f"viser-v{viser.__version__}"],  # pyright: ignore
            additional_headers={"Cookie": cookie}, max_size=2**30, compression=None,
        )  # fmt: skip
        self.send(CAMERA)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def submit(self, app: ViewerApp, text: str | None = None) -> None:
        """Send off the question form, after other words than stand there where some are given."""
        if app.panels is None:
            raise RuntimeError("the page is not served")
        panel = app.panels.ask
        if text is not None:
            self.send({"type": "GuiUpdateMessage", "uuid": panel.text._impl.uuid, "updates": {"value": text}})
        self.send({"type": "GuiFormSubmitMessage", "uuid": panel.form._impl.uuid})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self._socket.send(msgspec.msgpack.encode(message))

    def _drain(self) -> None:
        try:
            for _ in self._socket:
                pass
        except ConnectionClosed:
            return

    def close(self) -> None:
        """Go."""
        self._socket.close()
        self._thread.join(timeout=5)


def settle(app: ViewerApp) -> None:
    """Wait until nothing is sent any more."""
    while time.perf_counter() - app.traffic.last_sent < QUIET_S:
        time.sleep(QUIET_S / 4)


def measure_viewer(gaussians: int, questions: int, pages: int) -> dict[str, Any]:
    """Ask many questions of a page and say what they took.

    Args:
        gaussians: size of the made-up scene.
        questions: how many are asked.
        pages: how many are open; each gets every change.

    Returns:
        Milliseconds from a question's arrival to the last byte of its answer (p50, p95), bytes a question and page,
        milliseconds to the first byte, bytes of the whole scene, growth of memory from the first fifth of the
        questions on.
    """
    with tempfile.TemporaryDirectory() as folder:
        app = ViewerApp(made_up(gaussians, Path(folder)), ViewerSettings(port=0))
        app.start()
        open_pages = [Page(app) for _ in range(pages)]
        try:
            while app.traffic.total_bytes < 32 * gaussians * pages:
                time.sleep(QUIET_S)
            settle(app)
            whole = app.traffic.total_bytes // pages
            app.ask("thing 0")
            settle(app)
            found = {"gaussians": gaussians, "pages": pages, "scene_bytes": whole}
            return found | _ask(app, questions, pages)
        finally:
            for page in open_pages:
                page.close()
            app.stop()


def _ask(app: ViewerApp, questions: int, pages: int) -> dict[str, Any]:
    took, first, sent, wrong, memory, worked = [], [], [], 0, resident_bytes(), time.process_time()
    for i in track(range(questions), "questions"):
        if i == questions // 5:
            memory = resident_bytes()
        before, start, name = app.traffic.total_bytes, time.perf_counter(), f"thing {(i * 7 + 1) % THINGS}"
        app.traffic.mark()
        app.ask(name)
        done = time.perf_counter()
        settle(app)
        took.append((max(done, app.traffic.last_sent) - start) * 1000)
        first.append(((app.traffic.first_sent or done) - start) * 1000)
        sent.append((app.traffic.total_bytes - before) / pages)
        query = app.desk.document.query
        wrong += query is None or query.text != name or not len(query.thing.rows)
    worked = (time.process_time() - worked) / questions * 1000
    return {
        "questions": questions, "errors": int(wrong),
        "ms_p50": round(float(np.median(took)), 1), "ms_p95": round(float(np.quantile(took, 0.95)), 1),
        "ms_first_byte_p50": round(float(np.median(first)), 1),
        "processor_ms_a_question": round(worked, 1),
        "bytes_a_question_p50": int(np.median(sent)), "bytes_a_question_max": int(max(sent)),
        "memory_growth_percent": round(100 * (resident_bytes() / memory - 1), 1),
    }  # fmt: skip


def measure_flood(gaussians: int, questions: int) -> dict[str, float]:
    """Ask over the wire, alone and beside a page that sends 200 questions a second.

    Returns:
        Milliseconds from a page's sending a question to its answer (p95), alone and beside the flood.
    """
    with tempfile.TemporaryDirectory() as folder:
        app = ViewerApp(made_up(gaussians, Path(folder)), ViewerSettings(port=0))
        app.start()
        page = Page(app)
        try:
            app.ask("thing 0")
            settle(app)
            return _flooded(app, page, questions)
        finally:
            page.close()
            app.stop()


def _flooded(app: ViewerApp, page: Page, questions: int) -> dict[str, float]:
    found = {"ms_calm_page_p95": _answered(app, page, questions)}
    attacker, ended = Page(app), threading.Event()

    def flood() -> None:
        while not ended.wait(1 / FLOOD_PER_S):
            attacker.submit(app)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        found["ms_calm_page_beside_flood_p95"] = _answered(app, page, questions)
    finally:
        ended.set()
        thread.join()
        attacker.close()
    return found


def _answered(app: ViewerApp, page: Page, questions: int) -> float:
    took, shown = [], threading.Event()
    wanted = [""]

    def look() -> None:
        if (query := app.desk.document.query) is not None and query.text == wanted[0]:
            shown.set()

    app.desk.listen(look)
    for i in range(questions):
        wanted[0] = f"thing {(i * 5 + 2) % THINGS}"
        shown.clear()
        start = time.perf_counter()
        page.submit(app, wanted[0])
        shown.wait(60)
        took.append((time.perf_counter() - start) * 1000)
        time.sleep(PAUSE_S)
    return round(float(np.quantile(took, 0.95)), 1)


def resident_bytes() -> int:
    """Give the memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
