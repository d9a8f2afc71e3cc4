"""Writes jumps to glibc for each symbol of bionic that libraries want: `symbols.py COMPILER OUT LIB...`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GLIBC = ("libc.so.6", "libm.so.6")
DATA = {"__sF", "stdin", "stdout", "stderr"}
VERSIONS = (
    "LIBC",
    "LIBC_N",
    "LIBC_O",
    "LIBC_P",
    "LIBC_Q",
    "LIBC_R",
    "LIBC_S",
    "LIBC_PRIVATE",
    "LIBC_PLATFORM",
)


# How a stub goes on to a function of shim.c, and to one of glibc's.
JUMPS = {
    "x86_64": ("\tjmp bio_{0}", "\tjmp *{0}@GOTPCREL(%rip)"),
    "aarch64": ("\tb bio_{0}", "\tadrp x16, :got:{0}\n\tldr x16, [x16, :got_lo12:{0}]\n\tbr x16"),
}


def told(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def names(library: Path, *options: str) -> list[str]:
    """What nm lists of a library's dynamic symbols."""
    return [line.split()[-1] for line in told("nm", "-D", *options, str(library)).splitlines()]


def wanted(libraries: list[Path]) -> list[tuple[str, str]]:
    """(symbol, version) of everything that they do not define and want of bionic."""
    found = {tuple(n.split("@", 1)) for lib in libraries for n in names(lib, "--undefined-only") if "@" in n}
    return sorted((name, version.lstrip("@")) for name, version in found if name not in DATA)


def provided(compiler: str) -> set[str]:
    """What the compiler's glibc defines."""
    folder = Path(told(compiler, "-print-file-name=libc.so.6")).parent
    return {n.split("@")[0] for file in GLIBC for n in names(folder / file, "--defined-only")}


def main() -> None:
    """Write forward.S and libc.map into the folder OUT."""
    compiler, out, libraries = sys.argv[1], Path(sys.argv[2]), [Path(p) for p in sys.argv[3:]]
    to_shim, to_glibc = JUMPS[told(compiler, "-dumpmachine").partition("-")[0]]
    own = set(re.findall(r"\bbio_(\w+)\s*\(", (HERE / "shim.c").read_text()))
    glibc = provided(compiler)
    needed = wanted(libraries)
    missing = sorted({name for name, _ in needed if name not in own and name not in glibc})
    if missing:
        raise SystemExit(f"nobody provides {', '.join(missing)}; write them into shim.c as bio_NAME")
    lines = ["\t.text"]
    for name, version in needed:
        stub = f"t_{version}_{name}"
        target = (to_shim if name in own else to_glibc).format(name)
        lines += [f"\t.globl {stub}", f"\t.type {stub},%function", f"\t.symver {stub}, {name}@{version}",
                  f"{stub}:", target, f"\t.size {stub},.-{stub}"]  # fmt: skip
    lines.append('\t.section .note.GNU-stack,"",%progbits')
    (out / "forward.S").write_text("\n".join(lines) + "\n")
    bodies = (f"{v} {{ {'local: bio_*; t_*;' if v == 'LIBC' else ''} }};" for v in VERSIONS)
    (out / "libc.map").write_text("\n".join(bodies) + "\n")
    print(f"{len(needed)} symbols, {sum(name in own for name, _ in needed)} of them in shim.c")


if __name__ == "__main__":
    main()
