"""The forms of one trained network side by side on this machine: size, time to open, latency, throughput, memory.

Each form lives in a process of its own, so that memory and threads are its own, and they take turns: in every round
each is timed once while the others wait. A machine that slows down for a while slows them all, and a ratio is the
median of the ratios within the rounds. A `.tflite` file runs as on a device, without TensorFlow in its process.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.runs import RunFolder

#: Batches whose throughput is measured, as far as their float32 pixels take no more than `BATCH_BYTES`.
BATCHES = (1, 8, 64)
BATCH_BYTES = 2**28

Run = Callable[[Mapping[str, np.ndarray]], object]


@dataclass(frozen=True)
class Candidate:
    """One form of the network.

    Attributes:
        name: In tables.
        kind: How it is opened.
        path: The run folder (`keras`), the SavedModel's directory, or the `.tflite` file.
        signature: Of a `.tflite` file.
    """

    name: str
    kind: Literal["keras", "saved_model", "litert"]
    path: Path
    signature: str = "serving_default"

    @property
    def bytes(self) -> int:
        """Size on disk."""
        path = self.path / "model.keras" if self.kind == "keras" else self.path
        return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


@dataclass(frozen=True)
class Measured:
    """What was found of one candidate with one number of threads.

    Attributes:
        name, bytes: Of the candidate.
        threads: Processor threads that it may use.
        ready: Seconds from opening the file, with all libraries loaded, to the first answer.
        latencies: Seconds of each timed call on one example.
        ratio: Of the latency to that of the first candidate, median of the ratios of each round's medians.
        throughput: Batch size -> examples per second, median over the rounds; none for a batch left out.
        libraries, peak: Bytes of memory of the process with its libraries loaded, and the most until the last
            latency was taken; None where the system does not tell.
    """

    name: str
    bytes: int
    threads: int
    ready: float
    latencies: tuple[float, ...]
    ratio: float
    throughput: dict[int, float]
    libraries: int | None
    peak: int | None

    def percentile(self, percent: float) -> float:
        """Seconds within which `percent` of the calls were answered."""
        return float(np.percentile(self.latencies, percent))


def candidates_of(folder: RunFolder) -> list[Candidate]:
    """Keras first, then what `ferkeras export` has written: the SavedModel and each signature of each `.tflite`."""
    found = [Candidate("keras", "keras", folder.path)]
    saved_model = folder.path / "saved_model" / "1"
    if (saved_model / "saved_model.pb").is_file():
        found.append(Candidate("saved_model", "saved_model", saved_model))
    for path in sorted((folder.path / "litert").glob("*.tflite")):
        for signature in _interpreter(path, threads=1).get_signature_list():
            name = path.name if signature == "serving_default" else f"{path.name}, {signature}"
            found.append(Candidate(name, "litert", path, signature))
    return found


def measure(
    candidates: Sequence[Candidate],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    threads: int,
    rounds: int = 5,
    seconds: float = 1.0,
    batches: Sequence[int] = (),
) -> tuple[list[Measured], dict[str, str]]:
    """Times all candidates in alternation.

    Args:
        candidates: The first is the one that ratios refer to.
        shapes: Name of an input -> its shape without the batch axis: `image` (H, W, C), or `frames` (T, H, W, C) and
            `frame_mask` (T,).
        threads: Processor threads for each.
        rounds: How often each has its turn.
        seconds: Of a turn, though three calls are timed at least and a hundred at most.
        batches: Batch sizes whose throughput is measured too, after the latencies.

    Returns:
        What was measured, in the order of the candidates, and {name: reason} of those that failed.
    """
    failed: dict[str, str] = {}
    calls: dict[str, list[list[float]]] = {candidate.name: [] for candidate in candidates}
    rates: dict[str, dict[int, list[float]]] = {name: {batch: [] for batch in batches} for name in calls}
    opened: dict[str, float] = {}
    memory: dict[str, tuple[int | None, int | None]] = {}
    with ExitStack() as stack:
        children: dict[str, Connection] = {}

        def ask(name: str, *order: Any) -> Any:
            """The child's answer; a child that fails takes no part from then on."""
            try:
                children[name].send(order)
                done, answer = children[name].recv()
            except (EOFError, OSError):
                done, answer = False, "the process was killed, perhaps for lack of memory"
            if not done:
                failed[name] = answer
                del children[name]
            return answer if done else None

        for candidate in candidates:
            children[candidate.name] = stack.enter_context(_child(candidate, dict(shapes), threads))
            opened[candidate.name] = ask(candidate.name, "open")
        for _ in range(rounds):
            for name in list(children):
                if (taken := ask(name, "latency", seconds)) is not None:
                    calls[name].append(taken)
        for name in list(children):
            memory[name] = ask(name, "memory")
        for _ in range(rounds):
            for name in list(children):
                for batch in batches:
                    if name in children and (rate := ask(name, "throughput", batch)) is not None:
                        rates[name][batch].append(rate)
    reference = next((calls[name] for name in calls if name not in failed), [])
    measured = []
    for candidate in candidates:
        if (name := candidate.name) in failed:
            continue
        ratios = [
            statistics.median(own) / statistics.median(other) for own, other in zip(calls[name], reference, strict=True)
        ]
        measured.append(
            Measured(
                name,
                candidate.bytes,
                threads,
                opened[name],
                tuple(value for taken in calls[name] for value in taken),
                statistics.median(ratios),
                {batch: statistics.median(values) for batch, values in rates[name].items() if values},
                *memory[name],
            )
        )
    return measured, failed


@contextmanager
def _child(candidate: Candidate, shapes: dict[str, tuple[int, ...]], threads: int) -> Iterator[Connection]:
    """A process that serves `candidate`, until the block ends."""
    spawn = get_context("spawn")  # TensorFlow does not survive a fork, and memory should be the child's own
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, candidate, shapes, threads), daemon=True)
    process.start()
    there.close()  # or the death of the child would go unnoticed
    try:
        yield here
    finally:
        here.close()  # ends the child's loop
        process.join(timeout=10)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(connection: Connection, candidate: Candidate, shapes: dict[str, tuple[int, ...]], threads: int) -> None:
    """The life of a child: answers orders with (True, answer), or (False, reason) once and ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what the libraries say of processors and delegates
    # Read by TensorFlow when it is imported.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}
    try:
        load = _loader(candidate, threads)
        libraries, run, one = _memory("VmRSS"), None, _example(shapes, 1)
        while True:
            order, *values = connection.recv()
            answer: Any = None
            if order == "open":
                start = time.perf_counter()
                run = load()
                run(one)
                answer = time.perf_counter() - start
            elif run is None:
                raise InputError("A child opens its file first", received=str(order))
            elif order == "latency":
                answer = _latencies(run, one, seconds=values[0])
            elif order == "throughput":
                answer = _throughput(run, shapes, batch=values[0])
            elif order == "memory":
                answer = (libraries, _memory("VmHWM"))
            connection.send((True, answer))
    except EOFError:
        return
    except Exception as error:  # whatever a runtime raises: the other candidates are still of interest
        with suppress(OSError):
            connection.send((False, (str(error) or repr(error)).splitlines()[0]))


def _loader(candidate: Candidate, threads: int) -> Callable[[], Run]:
    """Loads the libraries, and returns the function that opens the file."""
    path = candidate.path
    if candidate.kind == "litert":
        import ai_edge_litert.interpreter  # noqa: F401

        return lambda: _litert_runner(path, candidate.signature, threads)
    from ferkeras.export.saved_model import load_saved_model
    from ferkeras.inference import keras_runner

    if candidate.kind == "keras":
        return lambda: _by_shape(keras_runner(RunFolder(path).load_model()))
    return lambda: _by_shape(load_saved_model(path))


def _by_shape(run: Callable[[Any], object]) -> Run:
    """A runner of stills takes the array itself."""
    return lambda inputs: run(inputs.get("image", inputs))


def _litert_runner(path: Path, signature: str, threads: int) -> Run:
    """Runs examples one after another, as the batch size of the file is one. Inputs without a name among those given,
    the states of a streaming form, are zero."""
    call = _interpreter(path, threads=threads).get_signature_runner(signature)
    details = call.get_input_details()
    zeros = {name: np.zeros(detail["shape"], detail["dtype"]) for name, detail in details.items()}

    def run(inputs: Mapping[str, np.ndarray]) -> None:
        frame = {"image": inputs["frames"][:, 0]} if "frames" in inputs else {}
        given = {name: values for name, values in {**frame, **inputs}.items() if name in details}
        for index in range(len(next(iter(inputs.values())))):
            one = {name: values[index : index + 1].astype(details[name]["dtype"]) for name, values in given.items()}
            call(**zeros | one)

    return run


def _interpreter(path: Path, *, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError("ai-edge-litert", extra="litert") from error
    return Interpreter(model_path=str(path), num_threads=threads)


def _example(shapes: Mapping[str, tuple[int, ...]], batch: int) -> dict[str, np.ndarray]:
    """Random pixels, and masks that show every frame."""
    random = np.random.default_rng(0)
    return {
        name: np.ones((batch, *shape), bool)
        if name == "frame_mask"
        else random.integers(0, 256, (batch, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def _latencies(run: Run, one: Mapping[str, np.ndarray], *, seconds: float) -> list[float]:
    run(one)  # wakes the threads up after the others' turns
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < 3 or (len(taken) < 100 and time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        run(one)
        taken.append(time.perf_counter() - start)
    return taken


def _throughput(run: Run, shapes: Mapping[str, tuple[int, ...]], *, batch: int) -> float | None:
    """Examples per second, None for a batch that is too large."""
    if batch * 4 * max(int(np.prod(shape)) for shape in shapes.values()) > BATCH_BYTES:
        return None
    inputs = _example(shapes, batch)
    run(inputs)  # builds the graph for this size, and wakes the threads up
    start = time.perf_counter()
    run(inputs)
    return batch / (time.perf_counter() - start)


def _memory(field: str) -> int | None:
    """Bytes of this process by a line of Linux's /proc/self/status; `getrusage` would count the parent's peak too."""
    with suppress(OSError), open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return None
