"""The closed room: its filter of system calls, run here as the kernel runs it, and files that are taken out of it."""

import errno
import os
import platform
import struct

import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.sandbox import take_plain
from qsmbench.syscall_filter import syscall_filter

ALLOWED = 0x7FFF0000
KERNELS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def answer(program, number, argument=0, *, machine):
    """Run a program of classic BPF on a system call; returns an error number, or 0 where it is allowed."""
    lines = list(struct.iter_unpack("=HBBI", program))
    told, here, value = {0: number, 4: machine, 16: argument}, 0, None
    while True:
        code, jump_true, jump_false, k = lines[here]
        if code == 0x06:
            return 0 if k == ALLOWED else k - 0x50000
        if code == 0x20:
            value = told[k]
        else:
            here += jump_true if (value == k if code == 0x15 else value >= k) else jump_false
        here += 1


NUMBERS = {  # by the tables of Linux: x86_64, aarch64
    "ptrace": (101, 117),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "syslog": (103, 116),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "lookup_dcookie": (212, 18),
}
USUAL = {
    "read": (0, 63),
    "write": (1, 64),
    "mmap": (9, 222),
    "clone": (56, 220),
    "futex": (202, 98),
    "statx": (332, 291),
}


@pytest.mark.parametrize(("column", "machine"), list(enumerate(KERNELS)))
def test_the_filter_of_system_calls(monkeypatch, column, machine):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    program, kernels, socket = syscall_filter(), KERNELS[machine], (41, 198)[column]
    assert [answer(program, n[column], machine=kernels) for n in NUMBERS.values()] == [errno.EPERM] * len(NUMBERS)
    assert [answer(program, n[column], machine=kernels) for n in USUAL.values()] == [0] * len(USUAL)
    families = {1: 0, 2: 0, 10: 0, 16: 0, 17: errno.EAFNOSUPPORT, 38: errno.EAFNOSUPPORT, 40: errno.EAFNOSUPPORT}
    assert {f: answer(program, socket, f, machine=kernels) for f in families} == families
    assert answer(program, 0, machine=0x40000003) == errno.ENOSYS  # of 32 bits
    assert answer(program, 0x40000000 + 521, machine=kernels) == errno.ENOSYS


def test_no_claim_where_the_numbers_are_not_known(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(QsmbenchError, match="system calls of riscv64 are not known; choose from x86_64, aarch64"):
        syscall_filter()


def test_only_plain_files_are_taken(tmp_path):
    (tmp_path / "file").write_text("content")
    take_plain(tmp_path / "file", tmp_path / "copy", 7)
    assert (tmp_path / "copy").read_text() == "content"
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "none"):
        with pytest.raises(OSError, match=name):
            take_plain(tmp_path / name, tmp_path / "other", 100)
    with pytest.raises(OSError, match="holds more than 6 bytes"):
        take_plain(tmp_path / "file", tmp_path / "other", 6)
    assert not (tmp_path / "other").exists()
