"""A connection to Ray: processes of this machine, a cluster that is there, or one at an address."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from langfield.errors import EnvironmentProblem, SettingsError
from langfield.progress import say

OBJECT_STORE_BYTES = 128 * 2**20
"""Of a cluster of this machine. Items and replies are small; data goes through files."""

STARTS = 3
PATIENCE_S = 10.0
"""For processes that were killed."""
LOCAL = {"worker_register_timeout_seconds": 300, "agent_register_timeout_ms": 300_000, "worker_niceness": 0}
"""Importing torch takes a worker on a busy machine longer than Ray would wait; and workers are as the command is, which
here has nothing else to do."""


@dataclass(frozen=True)
class Cluster:
    """What Ray has to give."""

    spec: str
    """"local", "auto" or an address, as it was asked for."""
    cpus: float
    gpus: float
    nodes: int


@contextmanager
def connected(spec: str, workers: int | None = None) -> Iterator[Cluster]:
    """Be connected to Ray inside; one that was started here ends with it.

    Args:
        spec: "local" starts processes on this machine, which only this machine can reach; "auto" joins the cluster that
            `ray start` has made here; else the address HOST:PORT or ray://HOST:PORT of one.
        workers: processes of a local cluster; as many as there are cores where None.

    Raises:
        EnvironmentProblem: Ray is not installed, or there is no cluster.
        SettingsError: no processes are asked for.
    """
    if workers is not None and workers < 1:
        raise SettingsError("a cluster needs a process", f"workers = {workers}", "give 1 or more")
    ray = import_ray()
    if ray.is_initialized():  # a caller's own connection is used and stays
        yield _resources(ray, spec)
        return
    _keep_to_this_machine(ray, spec)
    _begin(ray, spec, workers)
    try:
        yield _resources(ray, spec)
    finally:
        ray.shutdown()


def _begin(ray: Any, spec: str, workers: int | None) -> None:
    """Connect; a start on a machine that is too busy to finish it in Ray's time is tried again."""
    left, before = STARTS if spec == "local" else 1, set(_children())
    while left:
        left -= 1
        try:
            ray.init(**_how(spec, workers))
            return
        except Exception as error:  # Ray raises plain Exception among others
            ray.shutdown()
            _end([child for child in _children() if child not in before])
            if not left:
                remedy = "see Ray's logs/raylet.err" if spec == "local" else "start one there with: ray start --head"
                raise EnvironmentProblem(f"no Ray cluster: {str(error)[:200]}", spec, remedy) from error
            say(f"Ray did not start, once more: {str(error)[:200]}")


def _children() -> list[Any]:
    """Give the processes that this one started, and theirs."""
    from psutil import Process  # which Ray brings along

    return Process().children(recursive=True)


def _end(processes: list[Any]) -> None:
    """End what a start that failed has left: it would go on beside the next one until this process ends."""
    from psutil import NoSuchProcess, wait_procs

    for process in processes:
        with suppress(NoSuchProcess):
            process.kill()
    wait_procs(processes, timeout=PATIENCE_S)


def import_ray() -> Any:
    """Give Ray.

    Raises:
        EnvironmentProblem: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise EnvironmentProblem("Ray is not installed", None, "pip install 'langfield[cluster]'") from error
    return ray


def _how(spec: str, workers: int | None) -> dict[str, Any]:
    common = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "langfield"}
    if spec != "local":
        return {**common, "address": spec}
    return {
        **common, "address": "local", "num_cpus": workers, "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES, "_system_config": LOCAL,
    }  # fmt: skip


def _keep_to_this_machine(ray: Any, spec: str) -> None:
    """Set what `ray.init` has no argument for.

    A cluster of this machine listens on the loopback address only (and asks for Ray's token even so; usage statistics
    are off in clusters that `ray.init` starts). Ray does not repeat `uv run` in its workers: they use this interpreter,
    or what their machine has installed.
    """
    constants = ray._private.ray_constants
    constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    constants.ENABLE_RAY_CLUSTER = spec != "local"


def _resources(ray: Any, spec: str) -> Cluster:
    found = ray.cluster_resources()
    alive = [node for node in ray.nodes() if node["Alive"]]
    if spec != "local":
        say(f"cluster {spec}: {len(alive)} machines, {found.get('CPU', 0):.0f} CPUs, {found.get('GPU', 0):.0f} GPUs")
    return Cluster(spec, found.get("CPU", 0.0), found.get("GPU", 0.0), len(alive))
