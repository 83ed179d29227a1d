"""The time line, for captures whose frames have times: the page follows the camera that took them."""

from __future__ import annotations

import viser

from langfield.viewer import cameras
from langfield.viewer.desk import Desk


class TimePanel:
    """A slider over the frames' times; hidden where they have none."""

    def __init__(self, desk: Desk, server: viser.ViserServer) -> None:
        self._desk, self._server = desk, server
        timed = [(f.camera.time_s, f) for f in desk.run.frames if f.camera.time_s is not None]
        self._frames = sorted(timed, key=lambda pair: pair[0])
        self._up = cameras.world_up(desk.run.frames)
        if len(self._frames) < 2:
            return
        first, last = self._frames[0][0], self._frames[-1][0]
        with server.gui.add_folder("Time"):
            step = max((last - first) / 1000, 1e-6)
            self.time = server.gui.add_slider("Seconds", first, max(last, first + step), step, first)
            self.follow = server.gui.add_checkbox("Follow the camera", True)
        self.time.on_update(lambda event: desk.guarded(lambda: self._go(event.client)))

    def _go(self, client: viser.ClientHandle | None) -> None:
        if client is None or not self.follow.value:
            return
        _, frame = min(self._frames, key=lambda pair: abs(pair[0] - self.time.value))
        distance = cameras.distance_seen(frame.camera, self._desk.run.field.gaussians)
        cameras.move(client, cameras.view_pose(frame.camera, self._up, distance))
