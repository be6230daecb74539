"""Fuzzing of all that reads what others wrote: configurations, events, arrays, tasks of Label Studio, pickles and requests.

``python -m benchmarks fuzz [TARGET ...] [--seconds N]`` gives each target N seconds, 100 by default, and exits with 1 if one
failed. With atheris (``pip install atheris``) the inputs follow the coverage of the code; without it they are valid inputs with
random changes. A target fails by an exception that is not an error of the library; with atheris also by an input that takes 20
seconds, and by 4 GB of memory. The input of a failure is kept in ``.benchmarks/fuzz``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks.machine import write

TARGETS = ("config", "events", "arrays", "label_studio", "unpickler", "routes")
KEPT = Path(".benchmarks/fuzz")
HEAD = """# Fuzzing

`python -m benchmarks fuzz --seconds {seconds}`, by {how}. What each target reads is in `benchmarks/fuzz/targets.py`."""


def main(argv: Sequence[str]) -> int:
    """Fuzz the targets, each in a process of its own, and write the table; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description="Fuzz the readers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=100, help="seconds for each target; default: 100")
    parser.add_argument("--alone", action="store_true", help="fuzz one target in this process")
    options = parser.parse_args(argv)
    if unknown := {*options.targets} - {*TARGETS}:
        parser.error(f"unknown targets {', '.join(sorted(unknown))}; expected some of {', '.join(TARGETS)}")
    if options.alone:
        print(f"Done {fuzzed(options.targets[0], options.seconds)} runs")
        return 0
    lines, failed = ["| target | inputs | failures |", "|---|---:|---:|"], False
    for name in options.targets or TARGETS:
        inputs, fault = in_process(name, options.seconds)
        lines.append(f"| {name} | {inputs:,} | {int(bool(fault))} |")
        failed = failed or bool(fault)
        print(fault or f"{name}: {inputs:,} inputs", flush=True)
    how = "atheris" if find_spec("atheris") else "changes at random"
    if not options.targets:
        write("fuzz", "\n".join([HEAD.format(seconds=options.seconds, how=how), "", *lines]))
    return int(failed)


def in_process(name: str, seconds: int) -> tuple[int, str]:
    """The number of inputs that a target got in a process of its own, and what it wrote if it failed."""
    command = [sys.executable, "-m", "benchmarks", "fuzz", name, "--alone", "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    text = done.stdout + done.stderr
    counts = re.findall(r"Done (\d+) runs|#(\d+)\s", text)
    return max((int(a or b) for a, b in counts), default=0), text[-4000:] if done.returncode else ""


def fuzzed(name: str, seconds: int) -> int:
    """Fuzz a target in this process, which atheris ends; the number of inputs."""
    KEPT.mkdir(parents=True, exist_ok=True)
    in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # projects sync every answer, which a disk makes slow
    with tempfile.TemporaryDirectory(dir=in_memory) as scratch:
        if find_spec("atheris") is None:
            return changed(name, Path(scratch), seconds)
        atheris = import_module("atheris")
        with atheris.instrument_imports(include=["distil"]):
            seeds, call = import_module("benchmarks.fuzz.targets").TARGETS[name](Path(scratch))
        corpus = Path(scratch) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)
            call(seed)
        limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=20000"]
        warnings.simplefilter("error")
        atheris.Setup([sys.argv[0], str(corpus), *limits, f"-artifact_prefix={KEPT}/{name}-"], call)
        atheris.Fuzz()
    return 0


def changed(name: str, scratch: Path, seconds: float = 1e9, cases: int = 10**9, seed: int = 0) -> int:
    """Call a target with changed seeds, until the time or the number of cases is reached; the number of inputs.

    An input that fails is kept, and its exception is raised.
    """
    import numpy as np

    from benchmarks.fuzz.targets import TARGETS
    from benchmarks.mutated_files import mutated

    seeds, call = TARGETS[name](scratch)
    for each in seeds:  # before warnings count, because the first call imports packages
        call(each)
    rng, end = np.random.default_rng(seed), time.monotonic() + seconds
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in range(cases):
            if time.monotonic() > end:
                return case
            data = mutated(seeds[rng.integers(len(seeds))], rng)
            try:
                call(data)
            except BaseException:
                (KEPT if KEPT.is_dir() else scratch).joinpath(f"{name}-{case}").write_bytes(data)
                raise
    return cases
