"""The PyCUDA launcher keeps its rules: contexts entered and left, streams waited for, memory kept, a clean exit.

A stand-in for pycuda.driver writes down what is called, with a context stack in every thread as PyCUDA has.
"""

import ast
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from langfield.errors import EnvironmentProblem
from langfield.raster import cuda_build, cuda_launch
from langfield.raster.cuda_launch import GpuLauncher

SOURCE = 'extern "C" __global__ void add(const float* a, float* b, int64_t n) {}'


class Driver:
    """What of pycuda.driver the launcher uses."""

    class Error(Exception):
        pass

    class LogicError(Error):
        pass

    def __init__(self) -> None:
        self.log: list[str] = []
        self.local = threading.local()
        self.fault: str | None = None
        self.bad_images = 0
        note = self.log.append

        def stack() -> list[str]:
            if not hasattr(self.local, "stack"):
                self.local.stack = []
            return self.local.stack

        def need() -> None:
            if not stack():
                raise Driver.LogicError("invalid device context")

        def fail_at(place: str) -> None:
            if self.fault == place:
                raise Driver.Error("illegal address")

        class Context:
            @staticmethod
            def push() -> None:
                stack().append("primary")
                note("push")

            @staticmethod
            def pop() -> None:
                stack().pop()
                note("pop")

            @staticmethod
            def synchronize() -> None:
                need()
                note("synchronize")
                fail_at("synchronize")

            @staticmethod
            def detach() -> None:
                note("detach")

        class Function:
            def prepare(self, formats: list[str]) -> None:
                self.formats = formats

            def prepared_async_call(self, grid, block, stream, *values) -> None:
                need()
                fail_at("launch")
                assert len(values) == len(self.formats)
                note(f"launch {grid} {block} on {stream.handle if stream else 0} with {''.join(self.formats)}")

        class Module:
            def get_function(self, name: str) -> Function:
                need()
                note(f"get {name}")
                return Function()

            def __del__(self) -> None:
                note("unload" if stack() else "unload without a context")

        class Stream:
            def __init__(self, flags: int) -> None:
                need()
                assert flags == cuda_launch.NON_BLOCKING
                self.handle = 77

        def module_from_buffer(code: bytes) -> Module:
            need()
            if self.bad_images:
                self.bad_images -= 1
                raise Driver.LogicError("invalid image")
            assert code == b"code"
            return Module()

        self.Context, self.Stream, self.module_from_buffer = Context, Stream, module_from_buffer
        self.stack: Callable[[], list[str]] = stack

    def Device(self, number: int) -> types.SimpleNamespace:
        def retain() -> object:
            self.log.append(f"retain {number}")
            return self.Context

        return types.SimpleNamespace(retain_primary_context=retain)

    def init(self) -> None:
        self.log.append("init")


class TorchStream:
    def __init__(self, name: str, handle: int, log: list[str]) -> None:
        self.name, self.cuda_stream, self.log = name, handle, log

    def wait_stream(self, other: "TorchStream") -> None:
        self.log.append(f"{self.name} waits for {other.name}")


class Watched(torch.Tensor):
    log: list[str]

    def record_stream(self, stream) -> None:
        self.log.append(f"keep {self.numel()} for {stream.name}")


@pytest.fixture
def driver(monkeypatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda handle, device: TorchStream("ours", handle, made.log))
    use_stream(monkeypatch, made, 0)
    return made


def use_stream(monkeypatch, driver: Driver, handle: int) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: TorchStream("torch's", handle, driver.log))


def make(driver: Driver, tmp_path, debug: bool = False) -> GpuLauncher:
    source = tmp_path / "add.cu"
    source.write_text(SOURCE)
    made = GpuLauncher(0, {source: b"code"}, driver, debug)
    driver.log.clear()
    return made


def watched(size: int, log: list[str]) -> Watched:
    tensor = torch.zeros(size).as_subclass(Watched)
    tensor.log = log
    return tensor


def call(launch: GpuLauncher) -> None:
    log = launch.driver.log
    launch("add", (2, 1, 1), (64, 1, 1), watched(5, log), watched(6, log), 5)


def test_functions_are_found_at_once_and_nothing_stays_entered(driver, tmp_path):
    source = tmp_path / "add.cu"
    source.write_text(SOURCE)
    launch = GpuLauncher(0, {source: b"code"}, driver)
    assert driver.log == ["retain 0", "push", "get add", "pop"]
    call(launch)
    assert driver.stack() == []
    assert not any(line.startswith("get") for line in driver.log[4:])


def test_on_the_default_stream_nothing_waits(driver, tmp_path):
    launch = make(driver, tmp_path)
    call(launch)
    assert driver.log == ["push", "launch (2, 1, 1) (64, 1, 1) on 0 with PPq", "pop"]


def test_another_stream_waits_before_and_after_and_memory_is_kept(driver, tmp_path, monkeypatch):
    launch = make(driver, tmp_path)
    use_stream(monkeypatch, driver, 5)
    call(launch)
    assert driver.log == [
        "push",
        "ours waits for torch's",
        "launch (2, 1, 1) (64, 1, 1) on 77 with PPq",
        "torch's waits for ours",
        "pop",
        "keep 5 for ours",
        "keep 6 for ours",
    ]


@pytest.mark.parametrize("fault", ["launch", "synchronize"])
def test_a_fault_names_the_kernel_and_leaves_the_context(driver, tmp_path, fault):
    launch = make(driver, tmp_path, debug=True)
    driver.fault = fault
    with pytest.raises(EnvironmentProblem, match=r"kernel add failed: illegal address \(grid \(2, 1, 1\), block \(64"):
        call(launch)
    assert driver.stack() == []


def test_only_debug_waits_and_only_without_it_others_are_suspected(driver, tmp_path):
    call(make(driver, tmp_path, debug=True))
    assert "synchronize" in driver.log
    launch = make(driver, tmp_path)
    call(launch)
    assert "synchronize" not in driver.log
    driver.fault = "launch"
    with pytest.raises(EnvironmentProblem, match="an earlier kernel may be the cause"):
        call(launch)


def test_a_thread_that_never_saw_cuda_enters_the_context(driver, tmp_path):
    launch, failures = make(driver, tmp_path), []

    def backward() -> None:
        try:
            call(launch)
            assert driver.stack() == []
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=backward)
    thread.start()
    thread.join()
    assert failures == []
    assert driver.log[0] == "push"


def test_closing_unloads_inside_the_context_and_then_lets_it_go(driver, tmp_path):
    launch = make(driver, tmp_path)
    launch.close()
    launch.close()
    assert driver.log == ["push", "unload", "pop", "detach"]


@pytest.fixture
def machine(driver, tmp_path, monkeypatch):
    """A machine with a GPU, as far as the launcher asks."""
    source = tmp_path / "add.cu"
    source.write_text(SOURCE)
    compiled = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", lambda: driver.log.append("torch init"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    monkeypatch.setattr(torch, "empty", lambda *_, **__: driver.log.append("torch's context"))
    monkeypatch.setitem(sys.modules, "pycuda", types.ModuleType("pycuda"))
    monkeypatch.setattr(sys.modules["pycuda"], "driver", driver, raising=False)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    monkeypatch.setattr(cuda_build, "nvcc", lambda: "nvcc")
    monkeypatch.setattr(cuda_build, "sources", lambda: [source])
    monkeypatch.setattr(cuda_build, "architecture", lambda capability, compiler: "sm_86")
    monkeypatch.setattr(cuda_build, "image_path", lambda source, arch, *_: tmp_path / f"{arch}.cubin")
    monkeypatch.setattr(cuda_build, "images", lambda *_: compiled.append(1) or {source: b"code"})
    monkeypatch.setattr(cuda_launch.atexit, "register", lambda hook: driver.log.append(f"at exit {hook.__name__}"))
    cuda_launch._launcher.cache_clear()
    yield compiled
    cuda_launch._launcher.cache_clear()


def test_torch_comes_first_and_one_hook_cleans_up(driver, machine):
    made = cuda_launch.launcher(0)
    assert driver.log[:4] == ["torch init", "init", "torch's context", "retain 0"]
    assert driver.log[-1] == "at exit close"
    assert cuda_launch.launcher(0) is made
    assert len(machine) == 1


def test_an_image_that_does_not_load_is_compiled_anew_once(driver, machine):
    driver.bad_images = 1
    cuda_launch.launcher(0)
    assert len(machine) == 2
    assert driver.stack() == []


def test_an_image_that_never_loads_says_what_to_do(driver, machine):
    driver.bad_images = 2
    with pytest.raises(EnvironmentProblem, match=r"do not load: invalid image.*update the NVIDIA driver"):
        cuda_launch.launcher(0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu_is_said():
    with pytest.raises(EnvironmentProblem, match="torch sees no GPU"):
        cuda_launch.launcher(0)


def test_what_is_missing_is_said(driver, machine, monkeypatch):
    monkeypatch.setattr(cuda_build, "nvcc", lambda: None)
    with pytest.raises(EnvironmentProblem, match="found no nvcc; install the CUDA toolkit"):
        cuda_launch.launcher(0)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install .pycuda"):
        cuda_launch.launcher(0)


def test_nothing_imports_pycuda_before_it_is_needed():
    for path in Path(cuda_launch.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert "pycuda" not in ast.unparse(node), path


def test_the_doctor_says_what_a_gpu_lacks_and_how_to_get_it(driver, machine, monkeypatch):
    from langfield.commands import doctor

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 6))
    monkeypatch.setattr(cuda_build, "version", lambda compiler: "release 13.0")
    found = doctor._cuda()
    assert (found.state, found.detail) == ("ok", "A GPU, sm_86, nvcc release 13.0")
    monkeypatch.setattr(cuda_build, "nvcc", lambda: None)
    assert doctor._cuda().state == "missing"
    assert "CUDA toolkit" in doctor._cuda().remedy
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    assert "pycuda" in doctor._cuda().remedy
