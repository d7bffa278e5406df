"""Which processes train together, and a launcher that starts several on this machine. Standard library only.

TensorFlow reads the cluster from the environment variable `TF_CONFIG`; so does everything here.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ferkeras.errors import InputError

#: Seconds that the other workers get to end by themselves once one of them has failed. They notice within about ten,
#: and a worker that hangs, which never ends, is to be told of within a minute.
GRACE_SECONDS = 40.0
_VARIABLE = "TF_CONFIG"


def cluster_config(workers: Sequence[str], index: int) -> str:
    """The value of `TF_CONFIG` for worker `index` of `workers`, each `host:port`; worker 0 is the chief.

    Raises:
        InputError: for an address that is none, two equal ones, or an index out of range.
    """
    wrong = [address for address in workers if not re.fullmatch(r"[^\s:/]+:[1-9]\d{0,4}", address)]
    if wrong or not workers:
        raise InputError("A worker is given as host:port", received=", ".join(wrong), action="Example: a:2222,b:2222.")
    if len(set(workers)) < len(workers):
        raise InputError("Two workers have the same address", received=", ".join(workers))
    if not 0 <= index < len(workers):
        raise InputError(
            f"The index of a worker is 0 to {len(workers) - 1}", received=index, action="Set --worker-index."
        )
    return json.dumps({"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": index}})


def join_cluster(workers: str, index: int | None) -> None:
    """Makes this process worker `index` of the comma-separated `workers`; by default Slurm's process number counts."""
    number = os.environ.get("SLURM_PROCID") if index is None else str(index)
    if number is None or not number.isdigit():
        raise InputError("Which of the workers is this one?", action="Set --worker-index, the chief's is 0.")
    os.environ[_VARIABLE] = cluster_config([word.strip() for word in workers.split(",")], int(number))


def task(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """This process's index among the workers and their number, (0, 1) where `TF_CONFIG` says nothing.

    Raises:
        InputError: where `TF_CONFIG` is not what TensorFlow documents for workers that are all equal.
    """
    text = environment.get(_VARIABLE)
    if not text:
        return 0, 1
    try:
        config: dict[str, Any] = json.loads(text)
        workers, mine = config["cluster"]["worker"], config["task"]
        if set(config["cluster"]) != {"worker"} or mine["type"] != "worker":
            raise InputError("All tasks of TF_CONFIG must be of the type worker", received=text)
        cluster_config(workers, int(mine["index"]))
        return int(mine["index"]), len(workers)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError("TF_CONFIG cannot be read", received=text) from error


def launch(command: Sequence[str], *, workers: int, elastic: Callable[[int], Sequence[str]] | None = None) -> int:
    """Runs `command` as `workers` processes that train together over the loopback interface, and waits for them.

    SIGTERM and Ctrl-C are passed on. Once a worker has failed the others get `GRACE_SECONDS` to notice; one that has
    not ended by then hangs, and is killed.

    Args:
        command: What each worker runs.
        workers: How many.
        elastic: Given, training goes on with the workers that are left when some are lost: a signal ended them, or they
            hung. It is called with their number and returns the words of the next command. Mistakes that a
            worker reports by its exit code are no loss, as the next ones would make them too.

    Returns:
        The exit code of the first worker that failed, 0 where none did.
    """
    while True:
        ended = _run(command, workers=workers)
        left = workers - len(ended.lost)
        who = f"Worker {', '.join(map(str, ended.lost))} of {workers} is lost"
        if not ended.lost or ended.stopped:
            return ended.code
        if elastic is None or not left:
            print(f"ferkeras: {who}.", file=sys.stderr, flush=True)
            return ended.code
        print(f"ferkeras: {who}; training goes on with {left}.", file=sys.stderr, flush=True)
        command, workers = elastic(left), left


@dataclass(frozen=True)
class _Ended:
    """How the processes of a cluster ended.

    Attributes:
        code: As `launch` returns it.
        lost: Indices of those that a signal ended or that had to be killed.
        stopped: Whether the launcher was told to stop.
    """

    code: int
    lost: Sequence[int]
    stopped: bool


def _run(command: Sequence[str], *, workers: int) -> _Ended:
    addresses = free_addresses(workers)
    environments = [{**os.environ, _VARIABLE: cluster_config(addresses, index)} for index in range(workers)]
    processes = [subprocess.Popen(list(command), env=environment) for environment in environments]
    stopped = False

    def pass_on(number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        code, lost = _wait(processes)
    except KeyboardInterrupt:
        stopped = True
        code, lost = _wait(processes)  # the terminal has told them too
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    return _Ended(code, lost, stopped)


def _wait(processes: Sequence["subprocess.Popen[bytes]"]) -> tuple[int, list[int]]:
    """The exit code, and which of the processes were lost."""
    codes: dict[int, int] = {}  # in the order in which they ended
    deadline = float("inf")
    while len(codes) < len(processes) and time.monotonic() < deadline:
        for index, process in enumerate(processes):
            if index not in codes and process.poll() is not None:
                codes[index] = process.returncode
                if process.returncode:
                    deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        time.sleep(0.1)
    failed = [code for code in codes.values() if code]
    lost = [index for index in range(len(processes)) if codes.get(index, -1) < 0]
    return (failed[0] if failed and failed[0] > 0 else 1 if failed else 0), lost


def free_addresses(count: int) -> list[str]:
    """Ports of this machine that are free now, as host:port; they are held open together so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    finally:
        for opened in sockets:
            opened.close()
