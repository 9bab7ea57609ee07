"""Ways to get at what a method must not: `python3 cheats.py WORLD.json IN`; a line for each says if it works.

It runs as a method of a benchmark would, and needs nothing but Python. The world names what the machine holds: a truth,
results of others, a process with secrets. No cheat does harm where it works.
"""

import ctypes
import glob
import json
import os
import signal
import socket
import stat
import sys
import tempfile
from pathlib import Path

WORLD = {}


def has_secret(content):
    return WORLD["terces"][::-1].encode() in content  # the world itself must not hold it


def read(path, most=10**5):
    with open(path, "rb") as file:
        return file.read(most)


def any_has_secret(pattern):
    for path in glob.glob(pattern):
        if int(path.split("/")[2]) == os.getpid():
            continue
        try:
            is_plain = stat.S_ISREG(os.stat(path).st_mode)  # reading a pipe would take from others what they wait for
            if is_plain and has_secret(read(path)):
                return path
        except OSError:
            pass
    return None


# What must not be seen


def truth_by_its_path():
    return has_secret(read(WORLD["truth"]))


def truth_by_looking_around():
    """From here up to the root, and wherever the machine keeps its programs and this method."""
    tops = [WORLD["machine"], *(p for p in ("/algo", "/input", "/output", "/tmp", "/home", "/root", "/work", "/mnt"))]
    tops = [t for t in tops if t != "/tmp" or WORLD["inside"]]  # a whole machine takes too long
    for top in tops[: None if WORLD["inside"] else 1]:
        for folder, _, files in os.walk(top):
            for name in files:
                if name == "truth-to-find.txt" and has_secret(read(os.path.join(folder, name))):
                    return folder
    return None


def truth_in_the_folder_of_the_method():
    here = Path("/algo") if Path("/algo").is_dir() else Path(WORLD["algorithm"])
    return has_secret(read(here / "results" / "truth-to-find.txt"))


def truth_behind_links():
    """By a link in /tmp, and by the folder of a process."""
    link = Path(tempfile.mkdtemp()) / "link"
    link.symlink_to(WORLD["truth"])
    return has_secret(read(link))


def truth_by_hard_link():
    link = os.path.join(WORLD["writable"] if not WORLD["inside"] else "/tmp", f"link-{os.getpid()}")
    os.link(WORLD["truth"], link)
    try:
        return has_secret(read(link))
    finally:
        os.unlink(link)


def home():
    return has_secret(read(WORLD["home"]))


def shadow():
    return b":" in read("/etc/shadow")


def environment_of_this_process():
    return any(has_secret(value.encode()) for value in os.environ.values())


def environment_of_others():
    return any_has_secret("/proc/[0-9]*/environ")


def arguments_of_others():
    return any_has_secret("/proc/[0-9]*/cmdline")


def open_files_of_others():
    return any_has_secret("/proc/[0-9]*/fd/[0-9]*")


def root_of_others():
    return any(has_secret_in(p + WORLD["truth"]) for p in glob.glob("/proc/[0-9]*/root"))


def folder_of_others():
    name = os.path.basename(WORLD["truth"])
    return any(has_secret_in(f"{p}/{name}") for p in glob.glob("/proc/[0-9]*/cwd"))


def has_secret_in(path):
    try:
        return has_secret(read(path))
    except OSError:
        return False


def inherited_files():
    for number in range(256):
        try:
            if stat.S_ISREG(os.fstat(number).st_mode) and has_secret(os.pread(number, 10**5, 0)):
                return True
        except OSError:
            pass
    return False


def processes_of_others():
    os.kill(WORLD["victim"], 0)
    return True


def network():
    socket.create_connection(("127.0.0.1", WORLD["port"]), timeout=2).close()
    return True


def abstract_socket():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + WORLD["abstract"])
    return True


def socket_in_a_folder():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(WORLD["socket"])
    return True


# What must not be changed; the host looks whether it was


def touch(path):
    with open(path, "a") as file:
        file.write("cheated")
    return True


def results_of_others():
    return touch(WORLD["others"])


def inputs():
    given = WORLD["given"]
    name = next(iter(os.listdir(given)))
    os.chmod(given, 0o755)
    os.chmod(os.path.join(given, name), 0o644)
    return touch(os.path.join(given, name))


def scorer():
    return touch(os.path.join(WORLD["package"], "metrics", WORLD["trace"] + ".py"))


def cache_of_compiled_loops():
    folder = os.path.join(WORLD["package"], "__pycache__")
    if not os.path.isdir(folder):
        os.mkdir(folder)
    return touch(os.path.join(folder, WORLD["trace"] + ".nbi"))


def path_file_of_python():
    return touch(os.path.join(WORLD["site"], WORLD["trace"] + ".pth"))


def shared_memory():
    return touch("/dev/shm/" + WORLD["trace"])


def temporary_files():
    return touch(os.path.join(WORLD["writable"], WORLD["trace"]))


def kernel_settings():
    path = "/proc/sys/kernel/panic"
    value = read(path)
    with open(path, "wb") as file:
        return file.write(value) > 0


def root_folder():
    return touch("/" + WORLD["trace"])


def device_folder():
    return touch("/dev/" + WORLD["trace"])


def outlive():
    """Fork twice, open a session, forget the environment, and stay."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            for number in range(256):
                try:
                    os.close(number)
                except OSError:
                    pass
            os.execve("/bin/sleep", ["sleep", WORLD["sleep"]], {})
        os._exit(0)
    os.wait()
    return True


# What only an administrator may do


libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True


def mount():
    where = tempfile.mkdtemp()
    call("mount", b"none", where.encode(), b"tmpfs", 0, None)
    return call("umount2", where.encode(), 0)


def make_writable():
    """Mount once more what is read-only."""
    for place in ("/", "/usr", "/algo", "/input", "/proc", "/dev"):
        try:
            bind, remount = 4096, 32
            if WORLD["inside"] and call("mount", b"none", place.encode(), None, remount | bind, None):
                return place
        except OSError:
            pass
    return not WORLD["inside"]  # where nothing is read-only


def uncover():
    """Unmount what lies over the truth."""
    for place in ("/algo/results", "/proc", "/tmp", WORLD["machine"]):
        if WORLD["inside"] and libc.umount2(place.encode(), 2) == 0:
            return place
    return not WORLD["inside"] and truth_in_the_folder_of_the_method()


def unshare():
    if os.fork() == 0:
        new_mounts, new_user = 0x20000, 0x10000000
        os._exit(0 if libc.unshare(new_user | new_mounts) == 0 else 1)
    return os.wait()[1] == 0


def enter_namespace():
    for pid in (WORLD["victim"], 1):
        if os.path.exists(f"/proc/{pid}/ns/mnt") and os.fork() == 0:
            os._exit(0 if libc.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), 0) == 0 else 1)
    return os.wait()[1] == 0


def change_root():
    if os.fork() == 0:
        try:
            os.chroot("/")
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.wait()[1] == 0


def trace_others():
    attach, detach = 16, 17
    call("ptrace", attach, WORLD["victim"], None, None)
    os.waitpid(WORLD["victim"], 0)
    return call("ptrace", detach, WORLD["victim"], None, None)


def rights_of_devices():
    os.chmod("/dev/full", stat.S_IMODE(os.stat("/dev/full").st_mode))
    return True


def rights_of_standard_input():
    status = os.fstat(0)
    os.fchmod(0, stat.S_IMODE(status.st_mode))
    return stat.S_ISCHR(status.st_mode)


def make_device():
    path = os.path.join(tempfile.mkdtemp(), "memory")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    return len(read(path, 10)) == 10


# What the kernel may allow, and no namespace holds


def system_call(number_on_x86, number_on_arm, *arguments):
    number = number_on_arm if os.uname().machine == "aarch64" else number_on_x86
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def keyring_of_the_session():
    session, invalidate = -3, 21
    key = system_call(248, 217, b"user", WORLD["trace"].encode(), b"data", ctypes.c_size_t(4), session)
    system_call(250, 219, invalidate, key, 0, 0, 0)
    return True


def trace_the_parent():
    seize = 0x4206
    return call("ptrace", seize, 1 if WORLD["inside"] else os.getppid(), None, None)


def file_of_another_process():
    return system_call(438, 438, os.pidfd_open(1), 0, 0) >= 0


def rings():
    return system_call(425, 425, 8, ctypes.create_string_buffer(512)) >= 0


def faults_in_user_space():
    return system_call(323, 282, 1) >= 0


def host_of_a_virtual_machine():
    with socket.socket(40, socket.SOCK_STREAM):
        return True


SEES = [
    *(truth_by_its_path, truth_by_looking_around, truth_in_the_folder_of_the_method, truth_behind_links),
    *(truth_by_hard_link, home, environment_of_this_process, environment_of_others, arguments_of_others),
    *(open_files_of_others, root_of_others, folder_of_others, inherited_files, processes_of_others),
    *(network, abstract_socket, socket_in_a_folder),
]
CHANGES = [results_of_others, inputs, scorer, cache_of_compiled_loops, path_file_of_python, shared_memory]
CHANGES += [temporary_files, outlive, unshare]
OF_THE_KERNEL = [keyring_of_the_session, trace_the_parent, file_of_another_process, rings, faults_in_user_space]
OF_THE_KERNEL += [host_of_a_virtual_machine]
ON_ITS_OWN = [shared_memory, temporary_files, outlive]  # it may think that these work: the host has to look
IN_ITS_IMAGE = [shadow, root_folder, device_folder, rights_of_devices, rights_of_standard_input]
OF_THE_ENGINE = [*OF_THE_KERNEL, unshare]  # as its own filter of system calls allows
AS_ROOT = [shadow, kernel_settings, root_folder, device_folder, mount, make_writable, uncover, enter_namespace]
AS_ROOT += [change_root, trace_others, make_device, rights_of_devices, rights_of_standard_input]


def give_up(*_):
    raise TimeoutError


def main(world, given):
    """Try all; `given` is the folder of the inputs."""
    WORLD.update(world, inside=given == "/input", given=given)
    signal.signal(signal.SIGALRM, give_up)
    for cheat in [*SEES, *CHANGES, *AS_ROOT, *OF_THE_KERNEL]:
        try:
            signal.alarm(20)
            worked, why = bool(cheat()), ""
        except Exception as e:
            worked, why = False, f"{type(e).__name__}: {e}"
        signal.alarm(0)
        print(f"cheat {cheat.__name__}: {'works' if worked else 'prevented'} {why}", flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
