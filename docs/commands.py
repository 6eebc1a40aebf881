"""The page of commands, made from the commands' own help."""

from __future__ import annotations

import click

WIDTH = 80


def page(group: click.Group, program: str) -> str:
    """Every command with its help, as Markdown."""
    context = click.Context(group, info_name=program, terminal_width=WIDTH, max_content_width=WIDTH)
    lines = ["# Commands", "", "Made from the commands themselves: what `--help` prints."]
    lines += [*_block(group, context)]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(
            command,
            info_name=name,
            parent=context,
            terminal_width=WIDTH,
            max_content_width=WIDTH,
        )
        lines += ["", f"## {name}", *_block(command, below)]
    return "\n".join(lines) + "\n"


def _block(command: click.Command, context: click.Context) -> list[str]:
    return ["", "```text", click.unstyle(command.get_help(context)), "```"]
