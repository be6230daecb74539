"""Runs commands of distil on a disk that fails at one call: a line of JSON in, a line of JSON out, a forked process for each.

The process is started with the library of ``failing_disk.c`` preloaded, which counts the calls and lets one or all later ones fail.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import mmap
import os
import pkgutil
import struct
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import distil
from distil.cli import main as command

CALLS = struct.Struct("=iiiii8192s")  # the fields in failing_disk.c


def run(argv: list[str], folder: str, output: int, errors: int) -> None:
    """Run a command in a folder, and end the process."""
    os.chdir(folder)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    code = 99
    try:
        code = command(argv)
        sys.stdout.flush()
    finally:
        os._exit(code)


def tried(
    control: mmap.mmap, argv: list[str], folder: str, fail_at: int, error: int, lasting: bool
) -> dict[str, object]:
    """The exit code of a command, what it printed, the number of its calls, and the one that failed."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        CALLS.pack_into(control, 0, fail_at, error, lasting, 0, 0, b"")
        process = os.fork()
        if not process:
            run(argv, folder, output.fileno(), errors.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        *_, calls, _, what = CALLS.unpack_from(control)
        control[:] = bytes(CALLS.size)
        printed = [file.seek(0) or file.read().decode() for file in (output, errors)]
    return {"code": code, "out": printed[0], "err": printed[1], "calls": calls, "what": what.rstrip(b"\0").decode()}


def main() -> None:
    """Import everything once, then answer the lines of standard input."""
    sys.modules["matplotlib"] = None  # its import takes longer than all else  # type: ignore[assignment]
    names = [module.name for module in pkgutil.walk_packages(distil.__path__, "distil.")]
    for name in names:
        with contextlib.suppress(ImportError, distil.errors.DistilError):
            import_module(name if not name.endswith("__main__") else "distil")
    with contextlib.redirect_stdout(io.StringIO()):
        command(["--version"])  # makes the command line, once
    gc.freeze()
    with Path(os.environ["DISK_CONTROL"]).open("r+b") as file, mmap.mmap(file.fileno(), CALLS.size) as control:
        for line in sys.stdin:
            sys.stdout.write(f"{json.dumps(tried(control, **json.loads(line)))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
