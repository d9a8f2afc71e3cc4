"""What Android's shell tells of a phone, as values: commands and the reading of their answers."""

from __future__ import annotations

import re

from ..record.measurement import Cluster, Device
from ..record.observation import CpuTicks, Phase, Power, Snapshot

MARK = "@@"
CPUFREQ = "/sys/devices/system/cpu/cpufreq"
ABOUT = (
    f"getprop; echo {MARK}; cat /proc/meminfo; echo {MARK}; for p in {CPUFREQ}/policy*; do "
    'echo "$(cat $p/related_cpus)|$(cat $p/cpuinfo_max_freq)|$(cat $p/scaling_governor)"; done'
    f"; echo {MARK}; cat /sys/devices/system/cpu/present"
)
NOW = (
    f"cat /proc/uptime; echo {MARK}; cat /proc/stat; echo {MARK}; cat /proc/loadavg; echo {MARK}; "
    'for f in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq; do echo "$f $(cat $f)"; done; '
    f"echo {MARK}; dumpsys thermalservice; echo {MARK}; dumpsys battery; echo {MARK}; "
    "settings get global low_power"
)


def device(told: str) -> Device:
    """The Device of what ABOUT printed."""
    props, memory, policies, present = _parts(told, 4)
    p = dict(re.findall(r"^\[(.+?)\]: \[(.*?)\]\s*$", props, re.MULTILINE))
    soc = " ".join(w for w in (p.get("ro.soc.manufacturer"), p.get("ro.soc.model")) if w)
    soc = soc or p.get("ro.board.platform", "")
    ram = re.search(r"MemTotal:\s*(\d+)", memory)
    model = p.get("ro.product.model", "")
    return Device(
        transport="adb",
        label=f"{model} ({soc})",
        manufacturer=p.get("ro.product.manufacturer", ""),
        model=model,
        soc=soc,
        os=f"Android {p.get('ro.build.version.release', '')} (API {p.get('ro.build.version.sdk', '')})",
        abi=p.get("ro.product.cpu.abi", ""),
        ram_bytes=int(ram.group(1)) * 1024 if ram else 0,
        clusters=clusters(policies) or _one_cluster(present),
        serial=p.get("ro.serialno", ""),
    )


def clusters(policies: str) -> tuple[Cluster, ...]:
    """One a line of `cpus|kHz|governor`, fastest first; what could not be read is None."""
    alike = []
    for line in policies.splitlines():
        cpus, _, rest = line.partition("|")
        khz, _, governor = rest.partition("|")
        numbers = tuple(int(n) for n in cpus.split() if n.isdigit())
        if numbers:
            alike.append(
                Cluster(numbers, int(khz) if khz.strip().isdigit() else None, governor.strip() or None)
            )
    return tuple(sorted(alike, key=lambda c: -(c.max_khz or 0)))


def _one_cluster(present: str) -> tuple[Cluster, ...]:
    first, _, last = present.strip().partition("-")
    return (Cluster(tuple(range(int(first or 0), int(last or first or 0) + 1))),)


def look(told: str, phase: Phase, samples: int) -> Snapshot:
    """The Snapshot of what NOW printed; the host's own process does not run there, so it used no CPU."""
    uptime, stat, load, khz, heat, battery, saver = _parts(told, 7)
    return Snapshot(
        phase=phase,
        at_ns=round(float((uptime.split() or ["0"])[0]) * 1e9),
        samples=samples,
        own_cpu_ns=0,
        cpus=ticks(stat),
        load_1min=float(load.split()[0]) if load.split() else None,
        khz=clocks(khz),
        thermal_mc=temperatures(heat),
        thermal_status=_number(r"Thermal Status:\s*(\d+)", heat),
        power=power(battery, saver),
    )


def ticks(stat: str) -> tuple[CpuTicks, ...]:
    """Counters of each CPU from /proc/stat; empty where the shell may not read it."""
    counters = []
    for name, columns in re.findall(r"^cpu(\d+)\s+([\d ]+)$", stat, re.MULTILINE):
        t = [int(c) for c in columns.split()[:8]]
        t += [0] * (8 - len(t))
        counters.append(CpuTicks(int(name), t[0] + t[1] + t[2] + t[5] + t[6], t[7], sum(t)))
    return tuple(counters)


def clocks(text: str) -> dict[str, int]:
    """kHz by CPU name."""
    return {
        name: int(khz) for name, khz in re.findall(r"/(cpu\d+)/cpufreq/\S+ (\d+)\s*$", text, re.MULTILINE)
    }


def temperatures(heat: str) -> dict[str, int]:
    """Thousandths of a degree by sensor, from `dumpsys thermalservice`'s current temperatures."""
    pairs = re.findall(r"Temperature\{mValue=([\d.]+), mType=-?\d+, mName=([^,]+),", heat)
    return {name: round(float(value) * 1000) for value, name in pairs}


def power(battery: str, saver: str) -> Power:
    """From `dumpsys battery` and the low_power setting."""
    plugged = re.findall(r"(?:AC|USB|Wireless|Dock) powered: (\w+)", battery)
    tenths = _number(r"temperature:\s*(-?\d+)", battery)
    level = _number(r"level:\s*(\d+)", battery)
    known = saver.strip() in ("0", "1")
    return Power(
        charging="true" in plugged if plugged else None,
        percent=None if level is None else float(level),
        battery_c=None if tenths is None else tenths / 10,
        saver=saver.strip() == "1" if known else None,
    )


def _number(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text)
    return int(match.group(1)) if match else None


def _parts(told: str, count: int) -> list[str]:
    """The pieces between marks, empty ones for those that are missing."""
    pieces = re.split(rf"^{MARK}\s*$", told, flags=re.MULTILINE)
    return [*pieces, *[""] * count][:count]
