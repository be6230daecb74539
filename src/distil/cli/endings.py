"""How a command ends, whatever happens: one line on standard error, and an exit code."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import typer

from distil.errors import DistilError, RunError
from distil.system.files import naming

_POOL_INTERRUPTED = "nothing was written; the same command begins again, and embeddings that are finished are kept"
_INTERRUPTED = {"select": _POOL_INTERRUPTED, "audit": _POOL_INTERRUPTED}
_GOES_ON = "nothing is lost, and the same command goes on from here"
_OUTPUT = Path("standard output")
_FREE_SPACE = "; free some space, then run the same command again"
_REMEDIES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EIO: "; the disk may be failing: check it, then run the same command again",
}
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SIGNALS = tuple(number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)


class Terminated(KeyboardInterrupt):
    """A signal to end, raised in the main thread: what is open is closed as after Ctrl-C.

    Attributes:
        number: The number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def terminable() -> Iterator[None]:
    """A context in which the signals to end raise Terminated, except those that this process ignores, as under nohup."""
    here = threading.current_thread() is threading.main_thread()
    taken = [number for number in _SIGNALS if here and signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the protocol's signature
    raise Terminated(number)


class _Output(io.TextIOWrapper):
    """Standard output, whose errors name it: else a full disk would not say which file is meant."""

    def write(self, text: str, /) -> int:
        with naming(_OUTPUT):
            return super().write(text)

    def flush(self) -> None:
        with naming(_OUTPUT):
            super().flush()


@contextmanager
def streams() -> Iterator[None]:
    """A context in which commands can print any text: what goes to a closed stream (``>&-``) is dropped."""
    before = out, err = sys.stdout, sys.stderr
    with ExitStack() as stack:
        if out is None or err is None:
            place = os.open(os.devnull, os.O_RDWR)
            while (
                place <= 2
            ):  # a file that the command opens would take the number of a closed stream, and what is printed there
                place = os.dup(place)
            nowhere = stack.enter_context(open(place, "w", encoding="utf-8"))
            sys.stdout, sys.stderr = out or nowhere, err or nowhere
        if isinstance(out, io.TextIOWrapper):
            # ids may be names of files, in any encoding
            sys.stdout = _Output(out.buffer, out.encoding, "backslashreplace", line_buffering=out.line_buffering)
            stack.callback(sys.stdout.detach)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def ended(error: BaseException, command: str | None, verbose: bool) -> int:
    """Say in one line why a command ended with ``error``, and give its exit code.

    Args:
        error: The error.
        command: The name of the command; None where none was found on the command line.
        verbose: Whether the traceback is shown too.
    """
    if isinstance(error, OSError) and error.filename == str(_OUTPUT):
        _drop(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return 0  # the reader of the output, head for example, has seen enough
    interrupt = _interrupt(error)
    if interrupt is not None:
        number = interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT
        what = (
            f"distil: ended by {signal.Signals(number).name}"
            if isinstance(interrupt, Terminated)
            else "\ndistil: interrupted"
        )
        say(f"{what}; {_INTERRUPTED.get(command or '', _GOES_ON)}")
        return 128 + number
    if verbose and not isinstance(error, typer.TyperException):
        say("".join(traceback.format_exception(error)).rstrip("\n"))
    say(f"distil: {_message(error, command)}")
    asked_wrongly = isinstance(error, DistilError | typer.TyperException) and not isinstance(error, RunError)
    return 2 if asked_wrongly else 1


def _interrupt(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that an error is or comes from: Python 3.11 raises a RuntimeError from what ends a ``__set_name__``."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__
    return cause


def say(text: str) -> None:
    """Write a line to standard error, or to nowhere if it cannot be written to."""
    try:
        sys.stderr.write(f"{harmless(text)}\n")
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)


def harmless(text: str) -> str:
    r"""A text for a terminal: ids and names of files may hold characters that change its colors, title or order of letters.

    >>> harmless("a\x1b[31m\tb")
    'a\\x1b[31m\tb'
    """
    return _STEERING.sub(lambda found: ascii(found.group())[1:-1], text)


def _drop(stream: TextIO) -> None:
    """Let what is left for a stream go nowhere: the interpreter writes it at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _message(error: BaseException, command: str | None) -> str:
    """The message of an error; for a wrong command line, also the command that shows the help."""
    if isinstance(error, typer.TyperException):
        missing: Any = error.param if isinstance(error, typer.BadParameter) and not error.message else None
        what = f" {missing.help}" if missing is not None else ""
        context: Any = getattr(error, "ctx", None)  # typer has no public name for errors with a context
        path = f"distil {command or ''}".rstrip() if context is None else context.command_path
        return f"{error.format_message()}{what}\nHelp: {path} --help"
    if isinstance(error, DistilError):
        return str(error)
    said = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {_reason(error, said)}"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's is no MemoryError
        return f"there is not enough memory{f' ({said})' if said else ''}; end other programs, or take smaller data or minibatches"
    kind = f"{type(error).__name__}{f': {said}' if said else ''}"
    if isinstance(error, OSError):
        return f"{_reason(error, kind)} ({_place(error)})"
    return (
        f"unexpected {kind} ({_place(error)}); --verbose shows the traceback: if the fault is not in code or data of your own, "
        "please report it with that"
    )


def _reason(error: OSError, otherwise: str) -> str:
    """What the system says of an error, and what to do about it where that is known."""
    if error.errno in _REMEDIES:
        return f"{os.strerror(error.errno)}{_REMEDIES[error.errno]}"  # pyarrow has its own words
    return error.strerror or otherwise


def _place(error: BaseException) -> str:
    """The file and line that raised an error."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames or type(error.__cause__).__name__ == "_RemoteTraceback":  # of concurrent.futures
        return "in another process"
    frame, line = frames[-1]
    return f"{Path(frame.f_code.co_filename).name}, line {line}"
