"""Columns in memory and in files without a name."""

import errno
import gc
import math
import os
import pickle
import sys
from dataclasses import replace

import pytest
import torch

from distil.errors import InvalidInput
from distil.system.runtime import ROW_BYTES, Runtime
from distil.system.scratch import Space


def mapped_files():
    """The mapped scratch files of this process, which have no name."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return [line for line in maps if "distil-" in line or "(deleted)" in line]


def test_a_column_is_an_ordinary_tensor(case, tmp_path):
    for dtype in [torch.float32, torch.float64, torch.int64, torch.bfloat16]:
        for memory in [0, 1 << 20]:
            with case(dtype, memory):
                column = Space(Runtime(memory=memory, scratch=tmp_path)).column(7, 3, dtype=dtype)
                assert (column.shape, column.dtype, column.device.type, column.is_contiguous()) == (
                    (7, 3),
                    dtype,
                    "cpu",
                    True,
                )
                values = torch.arange(21).reshape(7, 3).to(dtype)
                column.copy_(values)
                assert torch.equal(column, values)
                assert torch.equal(column[torch.tensor([6, 0])], values[[6, 0]])
                assert list(tmp_path.iterdir()) == []


def test_a_column_whose_rows_come_in_order(case, tmp_path):
    for dtype in [torch.float32, torch.float64, torch.int64, torch.bfloat16]:
        for memory in [0, 1 << 20]:
            for shape in [(7, 3), (7,), (7, 2, 3)]:
                with case(dtype, memory, shape):
                    filling = Space(Runtime(memory=memory, scratch=tmp_path)).filling(*shape, dtype=dtype)
                    values = torch.arange(math.prod(shape)).reshape(shape)
                    for part in values.split(3):
                        filling.add(part.to(dtype) if len(part) > 1 else part)  # rows of another type are converted
                    column = filling.column()
                    assert (column.dtype, column.device.type, column.is_contiguous()) == (dtype, "cpu", True)
                    assert torch.equal(column, values.to(dtype))
                    column.fill_(1)
                    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_column_that_was_not_filled_leaves_nothing(tmp_path):
    gc.collect()  # tensors of other tests
    before = len(os.listdir("/proc/self/fd"))
    filling = Space(Runtime(memory=0, scratch=tmp_path)).filling(50, 2, dtype=torch.float32)
    filling.add(torch.zeros(3, 2))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del filling  # an unclosed file would be a warning
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_first_then_files_which_go_with_their_tensors(tmp_path):
    before = len(mapped_files())
    space = Space(Runtime(memory=1000, scratch=tmp_path))
    columns = [space.column(50, 2, dtype=torch.float32) for _ in range(4)]  # 400 bytes each
    assert len(mapped_files()) == before + 2
    small = space.column(50, dtype=torch.float32)  # 200 bytes are left
    assert len(mapped_files()) == before + 2
    view = columns[3][1:2]
    del columns
    gc.collect()
    assert len(mapped_files()) == before + 1
    view.fill_(3)
    del view, small
    gc.collect()
    assert len(mapped_files()) == before


def test_all_tables_share_the_memory_until_their_columns_are_gone(tmp_path):
    runtime = Runtime(memory=1000, scratch=tmp_path)
    first = Space(runtime).column(200, dtype=torch.float32)
    filling = Space(replace(runtime, progress=False)).filling(20, dtype=torch.float32)
    assert runtime.left == 1000 - 800 - 80
    view = first[:1].numpy()  # of any kind
    del first
    column = filling.column()
    del filling
    assert runtime.left == 120
    del view
    assert runtime.left == 920
    assert not Space(runtime).fits(921)
    besides = 2 * ROW_BYTES + 1000 // 4  # a quarter is for the blocks that are computed
    assert Space(runtime, 2).fits(920 - besides)
    assert not Space(runtime, 2).fits(921 - besides)
    del column
    assert runtime.left == 1000
    other = pickle.loads(pickle.dumps(runtime))
    assert other == runtime
    assert other.left == 1000


def test_chunks_of_wide_rows_have_fewer_rows():
    for memory, row_bytes, expected in (
        (512 << 20, 4, 4096),
        (512 << 20, 8 << 10, 4096),
        (512 << 20, 400_000, 83),  # 32 MB
        (0, 4096, 1024),  # 4 MB
        (0, 10 << 20, 1),
    ):
        assert Runtime(memory=memory).chunk(row_bytes) == expected, (memory, row_bytes)


def test_nothing_takes_no_room():
    assert Space(Runtime(memory=0)).column(0, 5, dtype=torch.float32).shape == (0, 5)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(
        InvalidInput, match=r"1 MB of measured quantities do not fit in Runtime.memory, and .*nowhere has no room"
    ):
        Space(Runtime(memory=0, scratch=tmp_path / "nowhere")).column(250_000, dtype=torch.float32)


@pytest.mark.skipif(sys.platform != "linux", reason="room is reserved on Linux only")
def test_a_disk_that_is_full(monkeypatch, tmp_path):
    def full(file, start, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InvalidInput, match=r"No space left on device\); pass runtime=Runtime\(scratch=\.\.\.\)"):
        Space(Runtime(memory=0, scratch=tmp_path)).column(5, dtype=torch.float32)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_a_number_of_bytes(case):
    for memory in [-1, 1.5, True, "512MB", None]:
        with case(memory), pytest.raises(InvalidInput, match="memory must be a whole number of bytes from 0"):
            Runtime(memory=memory)
