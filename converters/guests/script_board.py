"""An arm64 Debian with sshd in namespaces of its own on an x86-64 machine: started as root by board.py.

Run: python script_board.py EMULATOR SYSROOT SITE FOLDER CPU, where FOLDER/files lies over SYSROOT. What is
written on the board is in memory and ends with it. Nothing of the project is imported: this process gives its
own file system away. It ends with REFUSED and a sentence on standard error where the kernel refuses.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

NAMESPACES = 0x20000 | 0x4000000 | 0x10000000 | 0x20000000  # mounts, host name, users, processes
BIND, ALL_BELOW, PRIVATE, DETACH = 0x1000, 0x4000, 0x40000, 2  # linux/mount.h
PARENT_DEATH_SIGNAL = 1  # linux/prctl.h
PIVOT_ROOT = 155  # x86-64's number of it, which the C library has no function for
USERS = "0 0 65536"  # each user is itself
AARCH64 = (  # ELF headers of its programs, and which of their bits count, as binfmt_misc takes them
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PACKAGES = "/usr/local/lib/python3.11/dist-packages"
DAEMON = ("/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config")
CPUS = "/sys/devices/system/cpu"
HOSTNAME = "emulated-board"
REFUSED = 3
LIBC = ctypes.CDLL(None, use_errno=True)


def main(emulator: str, sysroot: str, site: str, folder: str, cpu: str) -> None:
    """Start the board and wait for its end, which is this process's end, too."""
    try:
        enter()
        inside = os.fork()
        if inside == 0:
            end_with_parent()
            lay_out(emulator, sysroot, site, folder)
            environment = {"QEMU_CPU": cpu, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            os.execve(DAEMON[0], DAEMON, environment)  # noqa: S606  # there is no shell to start it by
        end_with_parent()
        signal.signal(signal.SIGTERM, lambda *_: os.kill(inside, signal.SIGKILL))
        code = os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1])
    except OSError as error:
        sys.stderr.write(f"{error.filename or ''}: {error.strerror}\n")
        sys.stderr.flush()
        code = REFUSED
    os._exit(code if code >= 0 else 128 - code)


def enter() -> None:
    """Namespaces in which root is root; a process that stays outside tells the kernel who is who."""
    read, write = os.pipe()
    own = os.getpid()
    outside = os.fork()
    if outside == 0:
        os.close(write)
        if os.read(read, 1):
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{own}/{name}", "w") as stream:
                    stream.write(USERS)
        os._exit(0)
    checked(LIBC.unshare(NAMESPACES), "namespaces of its own")
    os.write(write, b"x")
    if os.waitpid(outside, 0)[1]:
        raise PermissionError(1, "the kernel maps no users", "namespaces of its own")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent has ended."""
    LIBC.prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def lay_out(emulator: str, sysroot: str, site: str, folder: str) -> None:
    """The board's file system, and nothing of this machine's in sight."""
    memory, empty = f"{folder}/memory", f"{folder}/files{PACKAGES}"
    mount("none", "/", "", PRIVATE | ALL_BELOW)
    mount("board", memory, "tmpfs")
    upper, work, root = (f"{memory}/{name}" for name in ("upper", "work", "root"))
    for place in (upper, work, root):
        os.mkdir(place)
    below = f"{escaped(folder)}/files:{escaped(sysroot)}"
    mount("board", root, "overlay", 0, f"lowerdir={below},upperdir={escaped(upper)},workdir={escaped(work)}")
    mount("packages", root + PACKAGES, "overlay", 0, f"lowerdir={escaped(empty)}:{escaped(site)}")
    mount("proc", f"{root}/proc", "proc")
    mount_devices(f"{root}/dev")
    os.makedirs(root + CPUS)
    mount(CPUS, root + CPUS, "", BIND | ALL_BELOW)  # runtimes look there for what they may use
    register(emulator, f"{root}/proc/sys/fs/binfmt_misc")
    socket.sethostname(HOSTNAME)
    os.chdir(root)
    checked(LIBC.syscall(PIVOT_ROOT, b".", b"."), root)
    checked(LIBC.umount2(b".", DETACH), root)
    os.chdir("/")


def mount_devices(folder: str) -> None:
    """The devices that a program expects, and terminals of its own."""
    mount("devices", folder, "tmpfs")
    for name in DEVICES:
        with open(f"{folder}/{name}", "w"):
            mount(f"/dev/{name}", f"{folder}/{name}", "", BIND)
    for name in ("pts", "shm"):
        os.mkdir(f"{folder}/{name}", 0o1777)
    mount("terminals", f"{folder}/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", f"{folder}/ptmx")
    os.symlink("/proc/self/fd", f"{folder}/fd")


def register(emulator: str, folder: str) -> None:
    """Have the kernel start AArch64's programs through the emulator, in these namespaces alone."""
    mount("binfmt_misc", folder, "binfmt_misc")
    magic, mask = AARCH64
    with open(f"{folder}/register", "w", encoding="ascii") as stream:
        stream.write(f":aarch64:M::{magic}:{mask}:{emulator}:F")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2); raises OSError."""
    words = (os.fsencode(word) or None for word in (source, target, kind))
    checked(
        LIBC.mount(*words, ctypes.c_ulong(flags), os.fsencode(options) or None), f"mount {kind or source}"
    )


def escaped(path: str) -> str:
    """A path among overlayfs's options."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def checked(result: int, what: str) -> None:
    """Raise OSError for what the kernel refused."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    main(*sys.argv[1:])
