"""`regnet-edge doctor`: what works on this machine."""

from __future__ import annotations

import sys

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(as_json: bool) -> None:
    """Tell which targets work here, their versions, and what is broken or mismatched.

    Ends with exit code 1 where a target does not work. torchvision and its like are looked at when they
    are installed: one that does not match torch breaks the tools that import it. A tool of another version
    than those that were tested works by its own pipeline; what that costs is said.

    \b
    regnet-edge doctor
    """
    from regnet_edge import codec
    from regnet_edge.cli._tables import print_table
    from regnet_edge.converters.doctor import examine

    findings = examine()
    if as_json:
        click.echo(codec.dumps(findings), nl=False)
    else:
        rows = [
            (f.name, "works" if f.works else "BROKEN", " ".join(f"{p.name} {p.version}" for p in f.packages))
            for f in findings
        ]
        print_table(("part", "state", "packages"), rows, text_columns=3)
        problems = [p.problem for f in findings for p in f.packages if p.problem]
        for sentence in dict.fromkeys([*problems, *(r for f in findings for r in f.remarks)]):
            click.echo(sentence, err=True)
    if not all(f.works for f in findings):
        sys.exit(1)
