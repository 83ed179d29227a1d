"""nerfstudio's trainer with what it lacks: the same command resumes, checkpoints are atomic and load safely."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils import writer

from langfield.artefacts import atomic_path, content_key
from langfield.capture import read_capture
from langfield.cluster.session import ClusterSettings, Session
from langfield.errors import LangfieldError, StorageError
from langfield.field.dynamic_fit import span_of
from langfield.plugin.bar import StepBar
from langfield.plugin.pipeline import LangsplatPipeline
from langfield.progress import how_to_ask, say
from langfield.run import SNAPSHOT, ManifestHead, RunLock, unfinished_runs, write_manifest
from langfield.settings import RunSettings
from langfield.stages import needed_weights
from langfield.weights import require


def default_device() -> Literal["cpu"]:
    """Give where nerfstudio's own few tensors lie; where masks, vectors and Gaussians are made is `settings.device`."""
    return "cpu"


@dataclass
class LangsplatTrainerConfig(TrainerConfig):
    """nerfstudio's trainer settings, and whether to start afresh."""

    _target: type = field(default_factory=lambda: LangsplatTrainer)
    fresh: bool = False
    """Start a new run even where an unfinished one with equal settings could go on."""
    cluster: str | None = None
    """Compute photos, codebook and lifting with Ray: local (processes of this machine), auto (the cluster that `ray
    start` made here) or HOST:PORT. The result is the same run."""
    cluster_workers: int | None = None
    """Processes; one for each GPU where there are any, else for each CPU."""
    cluster_store: str | None = None
    """URL of a store that all machines reach (s3://..., gs://..., any that fsspec knows); else they must see the same
    folders."""

    def settings(self) -> RunSettings:
        """Give the run's settings."""
        return self.pipeline.settings  # pyright: ignore

    def run_key(self) -> str:
        """Give the hash by which the same command finds its unfinished run."""
        data = Path(self.data or self.pipeline.datamanager.data or ".")
        return content_key(str(data.resolve()), self.settings().key(), self.max_num_iterations)

    def set_timestamp(self) -> None:
        """Check the data before anything is written, then go on with an unfinished run or name a new one."""
        in_one_sentence(self._preflight)
        if self.timestamp == "{timestamp}" and not self.fresh and self.load_dir is None:
            open_runs = unfinished_runs(self.get_base_dir().parent, self.run_key())
            if open_runs:
                self.timestamp = open_runs[-1].name
                say(f"going on with the unfinished run {open_runs[-1]} (--fresh True starts anew)")
        super().set_timestamp()

    def _preflight(self) -> None:
        data = self.data or self.pipeline.datamanager.data
        if data is None:
            raise LangfieldError("no capture given", "--data", "say where it lies: ns-train langsplat --data DIR")
        capture = read_capture(Path(data), damaged=None if self.cluster is None else {})
        # config.yml then finds the capture from any folder: ns-eval and ns-viewer are run from elsewhere.
        self.data = self.pipeline.datamanager.data = Path(data).resolve()
        if self.settings().motion is not None:
            span_of([frame.camera for frame in capture.frames])
        for note in capture.notes:
            say(note)
        for name in needed_weights(self.settings()):
            require(name)


def in_one_sentence(work: Callable[[], None]) -> None:
    """Run `work`; what a person can act on is said in one sentence with exit status 1, not as a traceback."""
    try:
        work()
    except LangfieldError as error:
        say(f"error: {error}")
        raise SystemExit(1) from None


def end_logs() -> None:
    """Close nerfstudio's logs, which it keeps open for the process: the next run would write into them as well."""
    for log in writer.EVENT_WRITERS:
        if isinstance(log, writer.TensorboardWriter):
            log.tb_writer.close()
    writer.EVENT_WRITERS.clear()
    writer.EVENT_STORAGE.clear()
    writer.GLOBAL_BUFFER.clear()


class LangsplatTrainer(Trainer):
    """Runs the 2D stages, then colour and language steps, and leaves a finished run.

    Args:
        config: nerfstudio's, with our fields.
        local_rank, world_size: as nerfstudio passes them.
    """

    config: LangsplatTrainerConfig
    pipeline: LangsplatPipeline

    def __init__(self, config: LangsplatTrainerConfig, local_rank: int = 0, world_size: int = 1) -> None:
        super().__init__(config, local_rank, world_size)
        self.total_steps = min(config.max_num_iterations, config.settings().total_steps)
        self.run_key = config.run_key()
        self.started = time.monotonic()

    def setup(self, test_mode: Any = "val") -> None:
        """Hold the run's folder, then set everything up."""
        in_one_sentence(lambda: self._setup(test_mode))

    def _setup(self, test_mode: Any) -> None:
        self.lock = RunLock(self.base_dir)
        self._write_manifest("running", {})
        self.session = None if self.config.cluster is None else self._prepare_on_cluster(self.config.cluster)
        super().setup(test_mode)

    def _prepare_on_cluster(self, address: str) -> Session:
        """Leave frames, masks and embeddings in the cache, where the pipeline finds them."""
        config = self.config
        how = ClusterSettings(address, config.cluster_workers, store=config.cluster_store)
        session = Session(config.settings(), how)
        parser = config.pipeline.datamanager.dataparser  # pyright: ignore
        parser.left_out = session.prepare(Path(config.data or ".")).left_out
        if parser.left_out:  # ns-eval reads the capture again
            config.save_config()
        return session

    def _load_checkpoint(self) -> None:
        """Set the fit up (2D stages included), then take back the newest checkpoint or a cached colour stage."""
        if self.session is not None:
            self.pipeline.use(self.session)
        self.pipeline.prepare_training()
        config = self.config
        if config.load_dir is None and config.load_checkpoint is None:
            found = sorted(self.checkpoint_dir.glob("step-*.ckpt"))
            config.load_checkpoint = found[-1] if found else None
        if config.load_dir is not None or config.load_checkpoint is not None:
            super()._load_checkpoint()
            say(f"resuming at step {self._start_step} of {self.total_steps}")
        elif self.pipeline.take_cached_geometry():
            self._start_step = config.settings().photometric.steps
            say("colour: cached")

    def train(self) -> None:
        """Train what is left, then write the results."""
        in_one_sentence(self._train)

    def _train(self) -> None:
        self.config.max_num_iterations = max(0, self.total_steps - self._start_step)
        self.step = max(self._start_step - 1, 0)
        self.bar = StepBar(self.config.settings().photometric.steps, self.total_steps, self._start_step)
        try:
            with self.bar:
                super().train()
        finally:
            end_logs()

    def train_iteration(self, step: int) -> Any:
        """Do one step; optimizers and loss are the fit's own."""
        _, losses, metrics = self.pipeline.get_train_loss_dict(step)
        self.bar.advance(step, {name: float(value) for name, value in metrics.items()})
        return losses["loss"], losses, metrics

    def save_checkpoint(self, step: int) -> None:
        """Save tensors and plain numbers only, beside the folder first: no half-written file is ever in it."""
        target = self.checkpoint_dir / f"step-{step:09d}.ckpt"
        state = {
            "step": step,
            "pipeline": self.pipeline.state_dict(),
            "optimizers": {},
            "schedulers": {},
            "scalers": {},
        }
        self.checkpoint_dir.mkdir(parents=True, exist_ok=True)
        # nerfstudio reads every name in the checkpoint folder as a step, so the temporary file lies outside.
        with atomic_path(self.base_dir / "checkpoint.new") as temporary:
            torch.save(state, temporary)
        (self.base_dir / "checkpoint.new").replace(target)
        for old in self.checkpoint_dir.glob("*.ckpt"):
            if old != target and self.config.save_only_latest_checkpoint:
                old.unlink()
        self._leave_snapshot()

    def _leave_snapshot(self) -> None:
        """Let the viewer see how far the run is; where that fails training goes on."""
        try:
            self.pipeline.snapshot(self.base_dir / SNAPSHOT, self._head())
        except StorageError as error:
            say(f"no snapshot for the viewer: {error}")

    def _head(self) -> ManifestHead:
        data = Path(self.config.data or self.config.pipeline.datamanager.data or ".")
        return ManifestHead(self.run_key, self.config.settings(), data)

    def _after_train(self) -> None:
        """Write the field and the manifest, say what came out, and how to look at it."""
        self.training_state = "completed"
        if self._start_step < self.total_steps or not list(self.checkpoint_dir.glob("*.ckpt")):
            self.save_checkpoint(self.step)
        self.bar.__exit__(None, None, None)
        about = self.pipeline.finish(self.base_dir)
        if self.session is not None:
            about["cluster"] = self.session.about()
        self._write_manifest("finished", about)
        shutil.rmtree(self.base_dir / SNAPSHOT, ignore_errors=True)
        self._say_results(about)
        if not self.config.viewer.quit_on_train_completion:
            self._train_complete_viewer()

    def _write_manifest(self, state: str, about: dict[str, Any]) -> None:
        pipeline = getattr(self, "pipeline", None)
        write_manifest(self.base_dir, self._head(), state, pipeline.seconds if pipeline else {}, about)

    def _say_results(self, about: dict[str, Any]) -> None:
        quality, seconds = about["quality"], self.pipeline.seconds
        held = quality["psnr_held_out_db"]
        say("")
        say("  ".join(f"{name} {value:.0f} s" for name, value in seconds.items()))
        say(
            f"{quality['gaussians']} Gaussians, PSNR {quality['psnr_training_db']:.2f} dB on training views"
            + (f", {held:.2f} dB on {len(about['held_out_views'])} held-out ones" if held is not None else "")
        )
        watched = self.pipeline.fit.watched
        how = how_to_ask(self.base_dir, when=watched is not None and watched.spoken is not None)
        say(f"finished in {time.monotonic() - self.started:.0f} s; {how}")
