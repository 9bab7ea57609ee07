"""The system calls that a closed room has no use for, as a program that the kernel runs at each call (seccomp).

Namespaces hide files, processes and networks. These calls reach what no namespace holds: the keyring of a session,
sockets to the host of a virtual machine, other processes of the room such as bubblewrap itself, and parts of the kernel
in which most ways out were found. Each fails with "not permitted"; all others are as they were.
"""

from __future__ import annotations

import platform
import struct

from qsmbench.errors import QsmbenchError

_NUMBERS = {  # of x86_64 and of aarch64, from the kernel's tables
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "syslog": (103, 116),
    "lookup_dcookie": (212, 18),
}
_SOCKET = (41, 198)
_FAMILIES = (1, 2, 10, 16)
"""Of sockets that stay within the room: unix, IPv4, IPv6, and netlink, by which programs list interfaces."""

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of `_NUMBERS`, and what the kernel calls the machine."""

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _NOT_PERMITTED, _NO_SUCH_CALL, _NO_SUCH_FAMILY = 0x7FFF0000, 0x00050001, 0x00050026, 0x00050061
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
"""Places in what the kernel tells of a call."""

_X32 = 0x40000000
"""Bit of the numbers of x86_64 by which programs of another kind call the same."""


def syscall_filter() -> bytes:
    """Return the program, in the form that `bwrap --seccomp` reads.

    Raises:
        QsmbenchError: the numbers of this machine's calls are not known.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        raise QsmbenchError(
            f"container is bubblewrap, but system calls of {machine} are not known; choose from {', '.join(_MACHINES)}"
        )
    column, kernels = _MACHINES[machine]
    denied = [numbers[column] for numbers in _NUMBERS.values()]
    # a jump is counted from the line after it, and the lines are: these, the answers, and the check of sockets
    lines = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, kernels), (_RETURN, 0, 0, _NO_SUCH_CALL)]
    lines += [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _NO_SUCH_CALL)]
    lines += [(_EQUAL, len(denied) - i + 1, 0, number) for i, number in enumerate(denied)]
    lines += [(_EQUAL, 2, 0, _SOCKET[column]), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOT_PERMITTED)]
    lines += [(_LOAD, 0, 0, _FIRST_ARGUMENT)]
    lines += [(_EQUAL, len(_FAMILIES) - i, 0, family) for i, family in enumerate(_FAMILIES)]
    lines += [(_RETURN, 0, 0, _NO_SUCH_FAMILY), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
