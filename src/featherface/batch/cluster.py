"""The engine for many machines: Ray Data with one actor a processor; the only file that knows Ray.

The dataset is one of part numbers. An actor opens the detector once, then does part after part and
writes each itself, so what goes through Ray is a few numbers a part. An actor has the part it is at
and the next one, which is all the back-pressure there has to be. One that dies, or whose node does,
is started again by Ray and its parts done again; one finished by then is only counted.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data

from featherface.batch.part import Job, Outcome

BLOCKS = 10_000  # of the dataset, at most: the driver holds them all
AHEAD = 2  # parts an actor has: with one it idles until Ray Data looks, every 0.1 s


class Actor:
    """A process of Ray that does parts."""

    def __init__(self, job: Job) -> None:
        """Gets ready; `job` has opened its detector on the way here."""
        warnings.filterwarnings("ignore", module="PIL")
        pa.set_cpu_count(1)
        job.check()
        self._job = job

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Does the parts whose numbers are in a batch."""
        outcomes = [self._job.do(int(number)) for number in batch["number"]]
        return {name: np.array(column) for name, column in _columns(outcomes).items()}


def start() -> int:
    """Connects to the cluster that RAY_ADDRESS or `ray start` tells of, or starts one here.

    Returns:
        Its processors.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody else is told of our clusters
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    return int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]


def run(job: Job, numbers: Sequence[int], *, workers: int) -> Generator[Outcome]:
    """Does parts in so many actors, and tells of each when it is done.

    Raises:
        ray.exceptions.RayError: the cluster is gone, or actors cannot start.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    blocks = min(len(numbers), BLOCKS)
    dataset = ray.data.from_items(
        [{"number": number} for number in numbers], override_num_blocks=blocks
    ).map_batches(
        Actor,
        fn_constructor_args=(job,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=AHEAD),
        num_cpus=1,
    )
    for row in dataset.iter_rows():
        yield Outcome(**row)


def _columns(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    return {name: [getattr(each, name) for each in outcomes] for name in Outcome._fields}
