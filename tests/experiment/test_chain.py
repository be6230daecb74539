"""The chain of hashes: what a line looks like, and that every alteration is noticed, on the line that it is in."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys

import pytest

from distil.errors import RunError
from distil.experiment import chain as module
from distil.experiment.chain import Chain, chained, hash_of

EVENTS = [
    {"event": "started", "seed": 3, "data": "Größe\n\u2028数字.csv"},
    {"event": "labeled", "round": 0, "ids": [4, 2], "labels": [1, 0]},
    {"event": "evaluated", "round": 0, "accuracy": 0.1 + 0.2},
]


@pytest.fixture
def path(tmp_path):
    """A file of three events."""
    chain = Chain(tmp_path / "events.jsonl", "a" * 64)
    for event in EVENTS:
        chain.append(event)
    return chain.path


def test_each_line_holds_the_hash_before_the_event_and_its_own_hash(path):
    """Computed here from the bytes alone."""
    before = "a" * 64
    for line, event in zip(path.read_bytes().splitlines(), EVENTS, strict=True):
        body, own = line.split(b', "hash": "')
        assert json.loads(line) == {"prev": before, **event, "hash": own[:-2].decode()}
        assert line.startswith(b'{"prev": "')
        before = hashlib.sha256(body).hexdigest()
        assert own == before.encode() + b'"}'


def test_reading_gives_the_events_and_what_they_belong_to(path):
    assert (Chain(path).events, Chain(path).belongs) == (EVENTS, "a" * 64)
    assert (Chain(path.with_name("nothing")).events, Chain(path.with_name("nothing"), "b" * 64).belongs) == (
        [],
        "b" * 64,
    )
    chain = Chain(path)
    chain.append(EVENTS[2])
    assert Chain(path).events == [*EVENTS, EVENTS[2]]


def test_every_changed_byte_is_noticed_on_its_line(path):
    """One bit of each byte but the last newline, whose loss is a tear."""
    whole = path.read_bytes()
    line = 1
    for place, byte in enumerate(whole[:-1]):
        path.write_bytes(whole[:place] + bytes([byte ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(RunError, match=rf"events\.jsonl, line {line}: "):
            Chain(path)
        line += byte == ord("\n")
    path.write_bytes(whole[:-1] + b"\x0b")
    assert Chain(path).events == EVENTS[:-1]


def test_lines_removed_inserted_doubled_and_swapped_are_noticed(case, path):
    one, two, three = whole = path.read_bytes().splitlines(keepends=True)
    foreign = chained({"event": "labeled"}, "c" * 64)[0]
    for what, lines, number in [
        ("the middle removed", [one, three], 2),
        ("doubled", [one, two, two, three], 3),
        ("the last doubled", [one, two, three, three], 4),
        ("swapped", [one, three, two], 2),
        ("inserted", [one, foreign, two, three], 2),
        ("an empty line", [one, b"\n", two, three], 2),
        ("one truncated", [one, two[:-9] + b"\n", three], 2),
        ("joined", [one[:-1], two, three], 1),
    ]:
        with case(what):
            path.write_bytes(b"".join(lines))
            with pytest.raises(
                RunError, match=rf"events\.jsonl, line {number}: .* The record has been altered: restore"
            ):
                Chain(path)
            assert path.read_bytes() == b"".join(lines)
    path.write_bytes(b"".join(whole[1:]))  # the first removed: it belongs to something else
    assert Chain(path).belongs == hashlib.sha256(one.split(b', "hash"')[0]).hexdigest()


def test_strange_lines_are_one_line_of_error(case, path):
    """Also with hashes that fit: what no reader can parse, however deep or long."""

    def sealed(content):
        body = b'{"prev": "' + b"a" * 64 + b'", ' + content
        return body + b', "hash": "' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'

    for what, line, fault in [
        ("200,000 brackets", b"[" * 200_000 + b"\n", "expected a JSON object that begins with the key 'prev'"),
        ("brackets that fit", sealed(b'"event": ' + b"[" * 200_000), "expected a JSON object with the key 'event'"),
        ("5,000 digits", sealed(b'"event": "started", "seed": ' + b"7" * 5000), "expected a JSON object with the key"),
        ("no UTF-8", sealed(b'"event": "\xff\xfe"'), "expected a JSON object with the key 'event'"),
        ("no event", sealed(b'"round": 0'), "expected a JSON object with the key 'event'"),
        ("an event that is no text", sealed(b'"event": 7'), "expected a JSON object with the key 'event'"),
        ("no object", b"[1, 2]\n", "expected a JSON object that begins with"),
    ]:
        with case(what):
            path.write_bytes(line)
            before = sys.getrecursionlimit()
            with pytest.raises(RunError, match=rf"events\.jsonl, line 1: {fault}") as error:
                Chain(path)
            assert len(str(error.value).splitlines()) == 1
            assert sys.getrecursionlimit() == before


# -------------------------------------------------------------------------------------------- torn lines


def test_a_torn_last_line_is_ignored_and_cut_before_the_next(path):
    """After any byte; and pages of a line that a crash of the machine kept off the disk read as NUL."""
    whole = path.read_bytes()
    line, _ = chained(EVENTS[2], whole.splitlines()[-1][-66:-2].decode())
    torn = [*(line[:cut] for cut in range(1, len(line), 7)), line[:-1], b"\0" * 40, b"\0" * 40 + b"\n"]
    for rest in torn:
        path.write_bytes(whole + rest)
        chain = Chain(path)
        assert chain.events == EVENTS
        assert path.read_bytes() == whole + rest
        chain.cut()
        assert path.read_bytes() == whole
        path.write_bytes(whole + rest)
        Chain(path).append(EVENTS[2])
        assert path.read_bytes() == whole + line


def test_an_append_that_fails_leaves_nothing_to_be_glued_to(path, monkeypatch):
    """A disk that is full half way through a line, and while the line is synced."""
    whole = path.read_bytes()
    chain = Chain(path)
    for share in (0.0, 0.5, 1.0):
        real = module.os.fsync

        def full(handle, share=share):
            size = os.fstat(handle).st_size
            os.ftruncate(handle, len(whole) + int(share * (size - len(whole))))
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(module.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            chain.append(EVENTS[2])
        monkeypatch.setattr(module.os, "fsync", real)
        assert chain.events == EVENTS
    chain.append(EVENTS[2])
    line, _ = chained(EVENTS[2], whole.splitlines()[-1][-66:-2].decode())
    assert path.read_bytes() == whole + line


def test_hashes_of_documents_do_not_depend_on_the_order_of_keys():
    assert hash_of({"a": 1, "b": [2, 3]}) == hash_of({"b": [2, 3], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    assert hash_of({"a": 1}) == hashlib.sha256(b'{"a": 1}').hexdigest()
