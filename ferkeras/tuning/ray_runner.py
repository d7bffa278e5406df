"""Trials on Ray Tune: several processes on this machine, with ASHA where it is asked for.

Ray decides which trial runs when, on which share of the machine, and which is stopped. It keeps nothing: its files are
in a temporary folder, and it starts no dashboard, sends no usage statistics and listens on the loopback address alone.
"""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.tuning.results import FAILED
from ferkeras.tuning.search import fail, is_done, stop
from ferkeras.tuning.space import Resources, Search
from ferkeras.tuning.trials import Trial

if TYPE_CHECKING:
    from ray import tune

#: Read by Ray when it is imported and when it starts.
_RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system the loopback address is this node's, as on Windows
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a share of a GPU sees none
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the search at once: each trial has its last epoch
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial of one epoch reports nothing
}
#: What one epoch's row passes between processes; the smallest that Ray takes is 75 MiB.
_OBJECT_STORE_BYTES = 100 * 2**20
#: ASHA's last rung lies below this epoch; trials end by themselves.
_LONGEST = 100_000


@dataclass(frozen=True)
class RayRunner:
    """A `ferkeras.tuning.search.Runner`.

    With ASHA, trials that are done report the epochs in their `history.csv` again, so that the rungs of a search that
    goes on have the values that they had before.

    Attributes:
        search: Its resources and, with `asha`, its rungs are used.
        folder: Of the search.
        workers: Trials at a time.
        asha: Whether trials are stopped early.
        train: Trains one trial in a worker, and calls `on_epoch` as `ferkeras.training.loop.run` does; see
            `ferkeras.tuning.search.train_trial`.
    """

    search: Search
    folder: Path
    workers: int
    asha: bool
    train: Callable[..., None]

    def __call__(self, trials: Sequence[Trial], *, ended: Callable[[Trial], None]) -> None:
        check_ray()
        os.environ.update(_RAY_SETTINGS)
        import ray
        from ray import tune

        # Ray's sockets are in this folder, and their paths must stay under 108 bytes.
        short = "/tmp" if Path("/tmp").is_dir() else None
        with tempfile.TemporaryDirectory(prefix="ray_", dir=short, ignore_cleanup_errors=True) as scratch:
            try:
                _start(scratch)
                share = _share(ray.cluster_resources(), self.search.resources, workers=self.workers)
                job = tune.with_resources(_Job(tuple(trials), self, threads=max(1, int(share["cpu"]))), share)
                tuner = tune.Tuner(
                    job,
                    param_space={"index": tune.grid_search(list(range(len(trials))))},
                    tune_config=tune.TuneConfig(
                        scheduler=_asha(self, trials) if self.asha else None,
                        max_concurrent_trials=self.workers,
                        reuse_actors=True,  # TensorFlow is imported once for each worker
                    ),
                    run_config=tune.RunConfig(
                        name="search",
                        storage_path=f"{scratch}/results",
                        verbose=0,
                        callbacks=[_reporter(self, trials, ended)],
                    ),
                )
                with _sigterm_interrupts():  # Ray's own handler, set by now, ends the process then and there
                    tuner.fit()
            finally:
                ray.shutdown()


def _start(scratch: str) -> None:
    """Ray on this machine alone, never on a cluster that the environment names, with its files in `scratch`."""
    import ray

    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=scratch,
        )
    except Exception as error:  # Ray has no kind of its own for it; on a busy machine it is a bare Exception
        action = "Where the machine is very busy, run the same command again later: what is done is kept."
        raise InputError("Ray does not start", received=str(error).partition("\n")[0], action=action) from error


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM acts as Ctrl-C does, in the main thread; elsewhere it is left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_ray() -> None:
    """Raises `MissingExtraError` where Ray Tune is not installed."""
    os.environ.update(_RAY_SETTINGS)
    try:
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("ray", extra="tune") from error


def _share(machine: Mapping[str, float], wanted: Resources, *, workers: int) -> dict[str, float]:
    """CPU cores and GPUs of each trial: those that are wanted, else an even share of the machine."""
    cores, gpus = machine["CPU"], machine.get("GPU", 0.0)
    even = cores / workers
    cpu = wanted.cpu if wanted.cpu is not None else (float(int(even)) if even >= 1 else even)
    gpu = wanted.gpu if wanted.gpu is not None else min(1.0, gpus / workers)
    if cpu > cores or gpu > gpus:
        raise InputError(
            "The resources of a trial must be at most those of the machine",
            received=f"cpu={cpu:g} of {cores:g}, gpu={gpu:g} of {gpus:g}",
            action="Lower them in the search file.",
        )
    return {"cpu": cpu, "gpu": gpu}


class _Job:
    """What a worker does; Ray calls it in each of them with the index of a trial."""

    def __init__(self, trials: tuple[Trial, ...], runner: RayRunner, *, threads: int) -> None:
        self.trials, self.runner, self.threads = trials, runner, threads

    def __call__(self, config: dict[str, Any]) -> None:
        from ray import tune

        trial = self.trials[config["index"]]

        def report(row: Mapping[str, Any], *, again: bool = False) -> bool:
            tune.report(_message(trial.recipe, row, again=again))  # does not return where Ray stops the trial
            return False

        run = RunFolder(self.runner.folder / trial.name)
        done = is_done(trial, self.runner.folder)
        if (run.path / "history.csv").exists():
            history = run.history()
            # Training itself reports the last epoch once more before it goes on from there.
            for row in history if done else history[:-1]:
                report(row, again=True)
        if not done:
            # TensorFlow reads these when it is imported.
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(self.threads))
            os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(self.threads))
            os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # trials may share a GPU
            self.runner.train(trial, self.runner.folder, on_epoch=report)


def _message(recipe: Recipe, row: Mapping[str, Any], *, again: bool) -> dict[str, Any]:
    """What Ray is told of an epoch: `value`, the smaller the better, and what is shown."""
    loss, score = float(row["val_loss"]), float(row[recipe.score])
    value = loss if recipe.monitor == "loss" else -score
    return {"epoch": int(row["epoch"]), "value": value, "val_loss": loss, recipe.score: score, "again": again}


def _asha(runner: RayRunner, trials: Sequence[Trial]) -> "tune.schedulers.ASHAScheduler":
    """Ray's scheduler, which also records in the run folder that it stopped a trial."""
    from ray.tune.schedulers import ASHAScheduler

    class RecordedAsha(ASHAScheduler):
        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            action: str = super().on_trial_result(tune_controller, trial, result)
            if action == self.STOP:
                stop(trials[trial.config["index"]], runner.folder, epoch=result["epoch"])
            return action

    settings = runner.search.asha
    return RecordedAsha(
        time_attr="epoch",
        metric="value",
        mode="min",
        max_t=max(_LONGEST, settings.grace),
        grace_period=settings.grace,
        reduction_factor=settings.reduction,
    )


def _reporter(runner: RayRunner, planned: Sequence[Trial], ended: Callable[[Trial], None]) -> "tune.Callback":
    """One line for each epoch on standard error, and `ended` for each trial."""
    from ray import tune

    class Reporter(tune.Callback):
        def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
            told = planned[trial.config["index"]]
            if "epoch" in result and not result["again"]:
                numbers = f"val_loss {result['val_loss']:.4f}  {told.recipe.score} {result[told.recipe.score]:.4f}"
                print(f"{told.name}  epoch {result['epoch']}  {numbers}", file=sys.stderr, flush=True)

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            ended(planned[trial.config["index"]])

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            told = planned[trial.config["index"]]
            if not is_done(told, runner.folder) and not (runner.folder / told.name / FAILED).exists():
                fail(told, runner.folder, why="Its process ended, perhaps for want of memory")
            ended(told)

    return Reporter()
