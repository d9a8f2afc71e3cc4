"""Command lines from a seed: every verb, its options with plausible, boundary and hostile values."""

from __future__ import annotations

import random
from collections.abc import Sequence

import click

from .verbs import Verb

NUMBERS = ("0", "-1", "1", "2", "3", "8", "0.5", "1e-300", "1e308", "1e309", "-1e308", "nan", "inf", "-inf",
           "1e9",
           "999999999", "1000000000", "2147483648", "9223372036854775808", "1" * 400, "0x10", "1_000", "٣",
           "",
           " ", "1,2", "NaN%", "--1")  # fmt: skip
TEXTS = ("", " ", "x", "all", "auto", "none", "big", "1,2", ",", "=", "a=b", "a=b=c", "flops=3e8-4e8",
         "nan-nan",
         "1e300-1e301", "-5-5", "0-0", "1/0", "2/1", "0/0", "1/99999999999", "\t", "a\nb", "[bold]x[/bold]",
         "[/]", "[/red]",
         "\x1b[31mred\x1b[0m", "\u2028", "\x85", "\u202egnp", "%s%n", "{0}", "{{x}}", "$(touch pwned)",
         "; touch pwned",
         "../../x", "/etc/passwd", "a" * 5000, "é" * 300, "\ud800"[:0] + "\udcff\udcfe", "-", "--",
         "@notes.txt", "d=1,w0=8,wa=8,wm=2,g=8",
         "d=1e9,w0=8,wa=8,wm=2,g=8", "d=9,w0=8e29,wa=1e300,wm=2.5,g=16", "d=,w0=", "d=2,w0=8,wa=8,wm=nan,g=8",
         "d=2,w0=8,wa=8,wm=1,g=0", "regnety_400mf", "RegNetX", "AnyNetX_A", "AnyNetX_A:depth=1..1000000000",
         "RegNet:g=1",
         "timm:nothing", "hf:../../x", "torchvision:", "imagenet", "fashion-mnist", "replay:notes.txt",
         "replay:",
         "ssh://", "ssh://a b@c:99999", "adb:", "web:99999999", "tcp://", "0-99999999999", "0x" + "f" * 80,
         "1,2,,3",
         "fp32", "int8", "fp32,int8", "fp32,fp32", "tflite", "onnx", "coreml", "RGB", "0.5,0.5,0.5",
         "0,0,0", "nan,nan,nan")  # fmt: skip
PATHS = ("", ".", "..", "/", "//", "/dev/null", "/dev/full", "/dev/zero", "/dev/stdin", "/proc/self/mem",
         "/proc/self/environ",
         "nowhere", "nowhere/at/all", "fifo", "dangling", "loop", "deep/" * 200 + "x", "n" * 256, "a\nb",
         "[bold]x[/bold]",
         "[/red].json", "\udcff\udcfe.json", "\x1b[2J", "notes.txt", "notes.txt/below", "~", "~nobody/x",
         "-", "a b", "ünï.json",
         "new.jsonl", "new.html", "new.svg", "new.png", "new.csv", "new.xyz", "new.safetensors", "new.pth",
         "new")  # fmt: skip
ROOTS = ("/", "//")  # read by all, written to by none: the campaign may run as root
FILLED = (
    "--out",
    "--output",
    "--plot",
    "--project",
    "--record",
)  # options whose value may be a folder to fill
SMALL = {  # of options that say how much work there is to do, mostly
    "--epochs": "1", "--nets": "16", "--count": "4", "-n": "4", "--draws": "10", "--resamples": "100",
    "--rounds": "1",
    "--min-runs": "2", "--min-seconds": "0.01", "--max-seconds": "0.5", "--processes": "1",
    "--quiet-seconds": "0.1",
    "--cooldown": "0", "--wait": "1", "--calibration-images": "4", "--train-images": "8",
    "--test-images": "4", "--resolution": "32",
    "--max-mf": "60", "--workers": "1",
}  # fmt: skip
ALWAYS = (
    "--epochs",
    "--nets",
    "--draws",
    "--min-runs",
    "--min-seconds",
    "--max-seconds",
    "--wait",
    "--max-mf",
    "--train-images",
)


def command_line(verb: Verb, rng: random.Random, samples: Sequence[str]) -> list[str]:
    """A command line of the verb; samples: the files that lie in its folder."""
    line = list(verb.name)
    share = rng.choice((0.05, 0.1, 0.2, 0.5))
    for option in verb.options:
        name = option.opts[-1]
        if option.required or rng.random() < share:
            line += _option(option, name, rng, samples)
        elif name in ALWAYS:
            line += [name, SMALL[name]]
    for argument in verb.arguments:
        many = rng.choice((1, 1, 1, 2, 3)) if argument.nargs == -1 else 1
        if rng.random() < 0.95:
            line += [_value(argument, rng, samples) for _ in range(many)]
    if rng.random() < 0.03:
        line.insert(rng.randrange(len(line) + 1), rng.choice(TEXTS))
    return [part.replace("\0", "") for part in line]


def _option(option: click.Option, name: str, rng: random.Random, samples: Sequence[str]) -> list[str]:
    if option.is_flag or option.count:
        return [rng.choice((*option.opts, *option.secondary_opts))]
    if name in SMALL and rng.random() < 0.7:
        return [name, SMALL[name]]
    return [name, _value(option, rng, samples)]


def _value(parameter: click.Parameter, rng: random.Random, samples: Sequence[str]) -> str:
    kind = parameter.type
    if isinstance(kind, click.Choice) and rng.random() < 0.7:
        return str(rng.choice(list(kind.choices)))
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return _number(kind, rng)
    if isinstance(kind, click.Path):
        among = [p for p in PATHS if p not in ROOTS] if set(parameter.opts) & set(FILLED) else PATHS
        return rng.choice(samples if rng.random() < 0.6 else among)
    roll = rng.random()
    return rng.choice(samples) if roll < 0.3 else rng.choice(PATHS) if roll < 0.4 else rng.choice(TEXTS)


def _number(kind: click.ParamType, rng: random.Random) -> str:
    """Anything, or a bound of the option's own range and what is beside it."""
    bounds = [b for b in (getattr(kind, "min", None), getattr(kind, "max", None)) if b is not None]
    near = [b + d for b in bounds for d in (-1, 0, 1)]
    return str(rng.choice(near)) if near and rng.random() < 0.4 else rng.choice(NUMBERS)
