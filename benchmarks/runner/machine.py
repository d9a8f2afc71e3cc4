"""What the machine says of itself: /proc and /sys, and a fixed loop that shows its speed."""

from __future__ import annotations

import contextlib
import glob
import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence

from .protocol import Json

LOOP, LOOP_WARM_UP, BUFFER = 40, 6, bytes(range(256)) * 16
LISTED_PROCESSES = 5


class Machine:
    """Reads /proc and /sys below `root`; what is not there comes back as None or empty."""

    def __init__(
        self,
        root: str = "/",
        clock: Callable[[], int] = time.perf_counter_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root, self.clock, self.sleep = root, clock, sleep

    def text(self, path: str) -> str | None:
        """The file's text without its end, None where it cannot be read."""
        try:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as stream:
                return stream.read().strip("\0\n ")
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """The file's integer, None where there is none."""
        try:
            return int(self.text(path) or "")
        except ValueError:
            return None

    def instruction_set(self, path: str) -> bytes | None:
        """The number of the one that a program is built for, from its ELF header; None for what is none."""
        try:
            with open(os.path.join(self.root, path), "rb") as stream:
                header = stream.read(20)
        except OSError:
            return None
        return header[18:20] if header[:4] == b"\x7fELF" and len(header) == 20 else None

    def each(self, pattern: str) -> list[str]:
        """Paths below the root that match, in order, without the root."""
        found = glob.glob(os.path.join(glob.escape(self.root), pattern))
        return sorted(os.path.relpath(p, self.root) for p in found)

    def cpus(self) -> list[Json]:
        """CpuTicks of every CPU: user nice system idle iowait irq softirq steal are the columns."""
        found = []
        for line in (self.text("proc/stat") or "").splitlines():
            name, *columns = line.split()
            if name.startswith("cpu") and name != "cpu":
                t = [int(c) for c in columns[:8]]
                t += [0] * (8 - len(t))
                busy = t[0] + t[1] + t[2] + t[5] + t[6]
                found.append({"cpu": int(name[3:]), "busy": busy, "steal": t[7], "total": sum(t)})
        return found

    def processes(self) -> list[Json]:
        """ProcessTicks of every process but this one that the system lets us see."""
        own, found = os.getpid(), []
        for path in self.each("proc/[0-9]*/stat"):
            head, _, tail = (self.text(path) or "").rpartition(")")
            f, pid = tail.split(), int(path.split("/")[1])
            if len(f) > 36 and pid != own:
                ticks, name = int(f[11]) + int(f[12]), head.partition("(")[2]
                found.append({"pid": pid, "name": name, "cpu": int(f[36]), "ticks": ticks})
        return found

    def own_wait_ns(self) -> int | None:
        """How long this process's threads stood ready without a CPU (schedstat), None if unknown."""
        waits = [(self.text(p) or "").split() for p in self.each("proc/self/task/*/schedstat")]
        known = [int(w[1]) for w in waits if len(w) >= 2]
        return sum(known) if known else None

    def khz(self) -> Json:
        """The current clock of each CPU by name."""
        paths = self.each("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
        return {p.split("/")[4]: n for p in paths if (n := self.number(p)) is not None}

    def thermal_mc(self) -> Json:
        """The temperature of each thermal zone in thousandths of a degree."""
        found = {}
        for path in self.each("sys/class/thermal/thermal_zone*/temp"):
            folder, value = os.path.dirname(path), self.number(path)
            if value is not None:
                zone = os.path.basename(folder)[len("thermal_") :]
                found[zone + ":" + (self.text(folder + "/type") or "")] = value
        return found

    def cooling(self) -> Json:
        """The state of each cooling device that slows the CPU."""
        found = {}
        for path in self.each("sys/class/thermal/cooling_device*/cur_state"):
            folder, value = os.path.dirname(path), self.number(path)
            kind = self.text(folder + "/type") or ""
            if value is not None and any(w in kind.lower() for w in ("cpu", "processor")):
                found[os.path.basename(folder) + ":" + kind] = value
        return found

    def throttle_events(self) -> int | None:
        """Times the CPUs were slowed since boot; a Raspberry Pi's flags of the moment count as events."""
        paths = self.each("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
        known = [n for n in map(self.number, paths) if n is not None]
        with contextlib.suppress(ValueError):
            flags = int(self.text("sys/devices/platform/soc/soc:firmware/get_throttled") or "", 16)
            known.append(bin(flags & 0b1111).count("1"))
        return sum(known) if known else None

    def power(self) -> Json:
        """Power: charger, battery and power saver."""
        found: Json = {"charging": None, "percent": None, "battery_c": None, "saver": None}
        for path in self.each("sys/class/power_supply/*/type"):
            folder, kind = os.path.dirname(path), self.text(path)
            if kind == "Battery" and self.text(folder + "/scope") != "Device":
                tenths = self.number(folder + "/temp")
                found["percent"] = self.number(folder + "/capacity")
                found["battery_c"] = None if tenths is None else tenths / 10
                found["charging"] = self.text(folder + "/status") in ("Charging", "Full", "Not charging")
        profile = self.text("sys/firmware/acpi/platform_profile")
        if profile is not None:
            found["saver"] = profile in ("low-power", "quiet")
        return found

    def status_bytes(self, name: str) -> int:
        """A field of /proc/self/status in bytes, such as VmRSS; getrusage's peak where there is none."""
        for line in (self.text("proc/self/status") or "").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def load_1min(self) -> float | None:
        """The load average of the last minute."""
        words = (self.text("proc/loadavg") or "").split()
        return float(words[0]) if words else None

    def look(self, phase: str, samples: int, reference_ns: int | None = None, full: bool = False) -> Json:
        """A Snapshot; only a full one lists the other processes."""
        processes = self.processes() if full else []
        return {
            "phase": phase,
            "at_ns": self.clock(),
            "samples": samples,
            "own_cpu_ns": own_cpu_ns(),
            "own_wait_ns": self.own_wait_ns(),
            "reference_ns": reference_ns,
            "cpus": self.cpus(),
            "processes": processes,
            "load_1min": self.load_1min(),
            "khz": self.khz(),
            "thermal_mc": self.thermal_mc(),
            "cooling": self.cooling(),
            "throttle_events": self.throttle_events(),
            "thermal_status": None,
            "power": self.power(),
        }


def own_cpu_ns() -> int:
    """CPU time of this process and the children it has waited for."""
    spent = os.times()
    return time.process_time_ns() + round((spent.children_user + spent.children_system) * 1e9)


def loop_ns(clock: Callable[[], int]) -> int:
    """The time of a fixed loop, about 0.1 ms: checksums of a buffer that the first cache holds.

    It follows the clock, and what else uses the same core, not memory. Made of C, because a loop of
    Python's own varies by a tenth from process to process with where its code happens to lie.
    """
    for _ in range(LOOP_WARM_UP):
        zlib.crc32(BUFFER)
    began = clock()
    for _ in range(LOOP):
        zlib.crc32(BUFFER)
    return max(1, clock() - began)


def reference_ns(clock: Callable[[], int], repeats: int = 30) -> int:
    """The median time of the fixed loop."""
    return sorted(loop_ns(clock) for _ in range(repeats))[repeats // 2]


def keep_busiest(looks: Sequence[Json]) -> None:
    """Leave in the looks only the processes that used most CPU between the first and the last list."""
    listed = [k for k in looks if k["processes"]]
    if len(listed) < 2:
        return
    began = {p["pid"]: p["ticks"] for p in listed[0]["processes"]}
    spent = {p["pid"]: p["ticks"] - began.get(p["pid"], 0) for p in listed[-1]["processes"]}
    busiest = [pid for pid in sorted(spent, key=lambda i: -spent[i]) if spent[pid] > 0][:LISTED_PROCESSES]
    for look in listed:
        look["processes"] = [p for p in look["processes"] if p["pid"] in busiest]


def ticks_per_s() -> int:
    """The unit of /proc's CPU times."""
    return int(os.sysconf("SC_CLK_TCK"))
