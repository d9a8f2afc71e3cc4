"""What the machine is: board, processor, memory, clusters of CPUs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

from .machine import Machine
from .protocol import Json


def device(machine: Machine) -> Json:
    """A Device without transport, label and serial."""
    board = machine.text("proc/device-tree/model") or machine.text("sys/firmware/devicetree/base/model")
    product = machine.text("sys/class/dmi/id/product_name")
    return {
        "manufacturer": machine.text("sys/class/dmi/id/sys_vendor") or "",
        "model": board or product or platform.node(),
        "soc": soc(machine),
        "os": os_name(machine),
        "abi": platform.machine(),
        "ram_bytes": ram_bytes(machine),
        "clusters": clusters(machine),
        "emulated": emulated(machine),
    }


def emulated(machine: Machine) -> bool | None:
    """True where qemu-user or its like runs this process, None where nothing tells.

    An emulator answers for /proc/self and shows the program that it runs; below thread-self the kernel
    shows the program that it runs itself: the emulator, which is built for another instruction set.
    """
    shown = machine.instruction_set("proc/self/exe")
    true = machine.instruction_set("proc/thread-self/exe")
    return True if shown and true and shown != true else None


def soc(machine: Machine) -> str:
    """The processor's name as far as the system tells."""
    for line in (machine.text("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Hardware"):
            return value.strip()
    chip = [machine.text("sys/devices/soc0/" + n) for n in ("family", "soc_id")]
    return " ".join(c for c in chip if c) or platform.processor() or platform.machine()


def os_name(machine: Machine) -> str:
    """Such as `Debian GNU/Linux 12 (bookworm), Linux 6.1.0`."""
    for line in (machine.text("etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"') + f", {platform.system()} {platform.release()}"
    return platform.platform()


def ram_bytes(machine: Machine) -> int:
    """Physical memory."""
    for line in (machine.text("proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def clusters(machine: Machine) -> list[Json]:
    """CPUs of one kind together, fastest first: by cpufreq policy, else by capacity, else all as one."""
    found = []
    for policy in machine.each("sys/devices/system/cpu/cpufreq/policy*"):
        cpus = cpu_list(machine.text(policy + "/related_cpus") or "")
        khz, governor = (
            machine.number(policy + "/cpuinfo_max_freq"),
            machine.text(policy + "/scaling_governor"),
        )
        found.append({"cpus": cpus, "max_khz": khz, "governor": governor})
    return merged(found) if found else by_capacity(machine)


def merged(found: Sequence[Json]) -> list[Json]:
    """Policies of the same speed and governor as one cluster (x86 has a policy for each CPU)."""
    kinds: dict[Any, list[int]] = {}
    for c in found:
        kinds.setdefault((c["max_khz"], c["governor"]), []).extend(c["cpus"])
    order = sorted(kinds.items(), key=lambda k: -(k[0][0] or 0))
    return [{"cpus": sorted(cpus), "max_khz": khz, "governor": governor} for (khz, governor), cpus in order]


def by_capacity(machine: Machine) -> list[Json]:
    """Clusters where no clock can be read."""
    kinds: dict[int, list[int]] = {}
    for c in machine.cpus() or [{"cpu": i} for i in range(os.cpu_count() or 1)]:
        capacity = machine.number(f"sys/devices/system/cpu/cpu{c['cpu']}/cpu_capacity") or 0
        kinds.setdefault(capacity, []).append(c["cpu"])
    order = sorted(kinds.items(), reverse=True)
    return [{"cpus": sorted(cpus), "max_khz": None, "governor": None} for _, cpus in order]


def cpu_list(text: str) -> list[int]:
    """[0, 1, 4] of `0-1,4` or `0 1 4`."""
    found: list[int] = []
    for word in text.replace(",", " ").split():
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
