"""Where the page looks from: the run's views, bookmarks; pictures and videos of what it shows."""

from __future__ import annotations

import io

import numpy as np
import viser
from PIL import Image

from langfield.errors import LangfieldError
from langfield.viewer import cameras, filming
from langfield.viewer.desk import Desk
from langfield.viewer.panels.select import look_of
from langfield.viewer.rows import Rows

NO_VIEW: str = "(choose a view)"
NO_BOOKMARK: str = "(none yet)"
MOST_BOOKMARKS = 50


class ViewsPanel:
    """Moves the camera, keeps places, takes pictures."""

    def __init__(self, desk: Desk, server: viser.ViserServer) -> None:
        self._desk, self._server, gui = desk, server, server.gui
        run = desk.run
        self._frames = {f.name: f for f in run.frames}
        self._up = cameras.world_up(run.frames)
        size = np.median([cameras.distance_seen(f.camera, desk.gaussians) for f in run.frames[:8]] or [1.0])
        self._frustums = cameras.Frustums(server, run.frames, 0.08 * float(size))
        self.kept: dict[str, cameras.Pose] = {}
        with gui.add_folder("Views of the run", visible=bool(self._frames)):
            self.view = gui.add_dropdown("Go to", (NO_VIEW, *self._frames), initial_value=NO_VIEW)
            best = gui.add_button("Go to the answer's best view", icon=viser.Icon.CAMERA, color="gray")
            frustums = gui.add_checkbox("Show cameras", False)
        with gui.add_folder("Bookmarks"):
            keep = gui.add_button("Keep this place", icon=viser.Icon.BOOKMARK, color="gray")
            self.places = gui.add_dropdown("Go to", (NO_BOOKMARK,), initial_value=NO_BOOKMARK)
        with gui.add_folder("Pictures"):
            shot = gui.add_button("Screenshot", icon=viser.Icon.CAMERA, color="gray")
            self.seconds = gui.add_slider("Video, seconds", 1, 20, 1, 4)
            film = gui.add_button("Video along the bookmarks", icon=viser.Icon.VIDEO, color="gray", hint=FILM_HINT)
        self.view.on_update(lambda event: desk.guarded(lambda: self.go(event.client, self.view.value)))
        best.on_click(lambda event: desk.guarded(lambda: self.go_to_best(event.client)))
        frustums.on_update(lambda event: desk.guarded(lambda: self._frustums.show(bool(event.target.value))))
        keep.on_click(lambda event: desk.guarded(lambda: self.keep(event.client)))
        self.places.on_update(lambda event: desk.guarded(lambda: self._go_back(event.client)))
        shot.on_click(lambda event: desk.guarded(lambda: self.screenshot(event.client)))
        film.on_click(lambda event: desk.guarded(lambda: self.film(event.client)))

    def go(self, client: viser.ClientHandle | None, name: str | None) -> None:
        """Move a page's camera to one of the run's views."""
        frame = self._frames.get(name or "")
        if client is not None and frame is not None:
            distance = cameras.distance_seen(frame.camera, self._desk.gaussians)
            cameras.move(client, cameras.view_pose(frame.camera, self._up, distance))

    def look_at(self, client: viser.ClientHandle | None, rows: Rows) -> None:
        """Move a page's camera to the view that shows some Gaussians best."""
        frame = self._desk.ground.best_view(rows)
        self.go(client, frame and frame.name)

    def go_to_best(self, client: viser.ClientHandle | None) -> None:
        """Move a page's camera to the view that shows the answer best."""
        query = self._desk.document.query
        self.go(client, query and query.view)

    def keep(self, client: viser.ClientHandle | None) -> None:
        """Keep where a page looks from."""
        if client is None:
            return
        if len(self.kept) >= MOST_BOOKMARKS:
            raise LangfieldError(f"there are {MOST_BOOKMARKS} bookmarks already")
        self.kept[f"place {len(self.kept) + 1}"] = pose_of(client)
        self.places.options = tuple(self.kept)

    def _go_back(self, client: viser.ClientHandle | None) -> None:
        pose = self.kept.get(self.places.value)
        if client is not None and pose is not None:
            cameras.move(client, pose)

    def screenshot(self, client: viser.ClientHandle | None) -> None:
        """Send a page the picture it shows as a PNG."""
        if client is None:
            return
        look = look_of(client)
        picture = client.get_render(min(look.height, 2160), min(look.width, 3840), transport_format="jpeg", timeout=20)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, format="PNG")
        client.send_file_download("langfield.png", file.getvalue())

    def film(self, client: viser.ClientHandle | None) -> None:
        """Write a video along the bookmarks, or around what is looked at, with the question burnt in."""
        if client is None:
            return
        poses = list(self.kept.values())
        path = filming.path_through(poses) if len(poses) > 1 else filming.path_around(pose_of(client))
        self._desk.tell("Drawing the video …")
        file = filming.film(self._desk, path, int(self.seconds.value))
        self._desk.tell(f"Video: {file.relative_to(self._desk.run.path)} of the run.")
        client.send_file_download(file.name, file.read_bytes())


def pose_of(client: viser.ClientHandle) -> cameras.Pose:
    """Give where a page looks from."""
    c = client.camera
    return cameras.Pose(c.position.copy(), c.look_at.copy(), c.up_direction.copy(), float(c.fov))


FILM_HINT = "Drawn by this machine, 640×480; around the middle of the view where there are fewer than two bookmarks."
