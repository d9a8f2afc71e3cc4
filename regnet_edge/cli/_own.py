"""The options of `convert` that one target alone has, made from what each target declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from regnet_edge.converters.options import Declared
    from regnet_edge.request import Option


class WithOwnOptions(click.Command):
    """A command that has every target's own options behind those written at it."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The targets are asked when the command is, not when it is imported."""
        *written, help_option = super().get_params(ctx)
        own: list[click.Parameter] = ctx.meta.setdefault(__name__, [])  # the parser wants the same objects
        if not own:
            own += map(_parameter, _declared())
        return [*written, *own, help_option]


def own_fields(target: str, typed: Mapping[str, Any]) -> dict[str, Option]:
    """A request's `options` of what was typed; raises UsageError for an option of another target.

    target: the one that is meant, 'all' for several.
    """
    from regnet_edge.errors import UsageError

    found: dict[str, Option] = {}
    for own in _declared():
        value = typed[_name(own)]
        if value is None or value is False:  # not typed; the default's own word is refused elsewhere too
            continue
        if own.target != target:
            said = own.flag if isinstance(value, bool) else f"{own.flag} {value}"
            raise UsageError(f"{said} is for target {own.target} only; add --target {own.target}")
        if value != own.default:
            found[own.field] = value
    return found


def own_names() -> frozenset[str]:
    """What click calls them."""
    return frozenset(map(_name, _declared()))


def _declared() -> tuple[Declared, ...]:
    """Every target's; raises ToolError where two targets have one by the same flag."""
    from regnet_edge.converters import targets
    from regnet_edge.converters.options import declared
    from regnet_edge.errors import ToolError

    found: dict[str, Declared] = {}
    for name, converter in targets().items():
        for own in declared(name, converter.options):
            if own.flag in found:
                raise ToolError(
                    f"targets {found[own.flag].target} and {name} both have an option {own.flag}; remove the "
                    "package of one of them"
                )
            found[own.flag] = own
    return tuple(found.values())


def _name(own: Declared) -> str:
    return f"own_{own.target}_{own.field}".replace("-", "_")


def _parameter(own: Declared) -> click.Option:
    names = [own.flag, _name(own)]
    if own.kind is bool:
        return click.Option(names, is_flag=True, help=own.help)
    choices = [c for c in own.choices if c]
    return click.Option(names, type=click.Choice(choices) if choices else own.kind, help=own.help)
