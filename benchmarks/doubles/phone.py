"""The files and tools of a phone that is not there: what the adb double's shell finds below its root."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PROPERTIES = {
    "ro.product.manufacturer": "Example",
    "ro.product.model": "Double",
    "ro.soc.manufacturer": "Example",
    "ro.soc.model": "E1",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.serialno": "DOUBLE1",
}


BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  level: 81
  temperature: 289
"""


THERMAL = """IsStatusOverride: false
Thermal Status: 0
Current temperatures from HAL:
\tTemperature{mValue=38.5, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=31.2, mType=3, mName=skin, mStatus=0}
"""


STAND_INS = {
    "getprop": 'cat "$ROOT/props"',
    "dumpsys": 'cat "$ROOT/dumpsys/$1"',
    "settings": 'cat "$ROOT/settings/$4" 2>/dev/null || cat "$ROOT/settings/$3"',
    "pm": 'cat "$ROOT/packages/$2" 2>/dev/null',
    "pidof": 'test -e "$ROOT/running" && echo 4242',
    "am": (
        'app=$(echo "$5" | cut -d/ -f1); test -e "$ROOT/packages/$app" || '
        '{ echo "Error: Activity class {$5} does not exist."; exit 1; }\n'
        'mkdir -p "$ROOT/sdcard/Android/data/$app/files"; touch "$ROOT/running"\n'
        'test -e "$ROOT/answer.json" && '
        'cp "$ROOT/answer.json" "$ROOT/sdcard/Android/data/$app/files/benchmark.json"\n'
        'echo "Status: ok"'
    ),
    "taskset": 'shift; exec "$@"',
}


def make_phone(
    root: Path, *, app: str = "", answer: str = "", changes: Mapping[str, str] | None = None
) -> Path:
    """Lay a phone's files below root: four slow and four fast CPUs, charging, cool.

    app is an installed package whose benchmark answers `answer` ('' never answers); changes are texts of
    further files by their path below root.
    """
    files = {
        "props": "".join(f"[{k}]: [{v}]\n" for k, v in PROPERTIES.items()),
        "dumpsys/battery": BATTERY,
        "dumpsys/thermalservice": THERMAL,
        "settings/low_power": "0\n",
        "proc/meminfo": "MemTotal:        7800000 kB\n",
        "proc/uptime": "1000.00 4000.00\n",
        "proc/stat": "cpu  80 0 20 900 0 0 0 0\n" + "".join(f"cpu{i} 10 0 2 112 0 0 0 0\n" for i in range(8)),
        "proc/loadavg": "0.10 0.20 0.30 1/800 4242\n",
        "sys/devices/system/cpu/present": "0-7\n",
        **_policy(0, "0 1 2 3", 1_800_000),
        **_policy(4, "4 5 6 7", 2_800_000),
        **({f"packages/{app}": f"package:/data/app/{app}/base.apk\n"} if app else {}),
        **({"answer.json": answer} if answer else {}),
        **(changes or {}),
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for name, text in STAND_INS.items():
        add_tool(root, f"bin/{name}", text)
    (root / "data/local/tmp").mkdir(parents=True, exist_ok=True)
    return root


def _policy(first: int, cpus: str, max_khz: int) -> dict[str, str]:
    folder = f"sys/devices/system/cpu/cpufreq/policy{first}"
    clocks = {f"sys/devices/system/cpu/cpu{c}/cpufreq/scaling_cur_freq": f"{max_khz}\n" for c in cpus.split()}
    return {
        f"{folder}/related_cpus": cpus + "\n",
        f"{folder}/cpuinfo_max_freq": f"{max_khz}\n",
        f"{folder}/scaling_governor": "schedutil\n",
        **clocks,
    }


def add_tool(root: Path, path: str, script: str) -> None:
    """An executable shell script below root."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(0o755)
