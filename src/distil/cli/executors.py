"""What the commands that take ``--executor`` share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, get_args

from distil.errors import InvalidInput, nearest, whole_number

if TYPE_CHECKING:
    from distil.system.executor import Executor

ExecutorName = Literal["serial", "processes", "ray"]


def executor_named(
    name: ExecutorName | None, address: str | None, workers: int | None, *, device: str | None = None
) -> Executor | None:
    """The place where a command does its work; None: this process.

    Args:
        name: The executor; default: processes if there are several workers.
        address: The head of the Ray cluster.
        workers: Number of processes.
        device: The device of a model that the processes run.
    """
    if name is not None and name not in get_args(ExecutorName):
        names = get_args(ExecutorName)
        raise InvalidInput(f"executor must be one of {', '.join(names)}, got {name!r}{nearest(str(name), names)}")
    if workers is not None and whole_number(workers, 1) is None:
        raise InvalidInput(f"workers must be a whole number from 1, got {workers!r}")
    if address is not None and name != "ray":
        raise InvalidInput("address is that of a Ray cluster; pass executor ray too (--executor ray)")
    several = workers is not None and workers > 1
    if name == "serial" and several:
        raise InvalidInput(
            f"the executor serial is this process alone, and workers is {workers}; leave one of them out"
        )
    if name == "ray":
        from distil.distributed.ray import RayExecutor

        return RayExecutor(address, workers, gpus=device is not None and str(device).startswith("cuda"))
    if name == "processes" or several:
        from distil.system.executor import Processes

        return Processes(workers or os.cpu_count() or 1)
    return None
