"""The command line reference, from the help of the commands themselves, and the keys of a study's YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from markdown_text import escaped, table

from qsmbench import cli
from qsmbench.listing import keys_of
from qsmbench.study.config import Study, Variant
from qsmbench.study.datasets import Measured, Simulated


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of each page."""
    parts = ["# Command line", "What `--help` of each command says."]
    parts += [text for name, command in commands() for text in _command(name, command)]
    yield "reference/commands.md", "\n\n".join(parts)
    yield "reference/study.md", _study()


def commands() -> Iterator[tuple[str, Any]]:
    """Yield name and object of each command."""
    yield from _commands(typer.main.get_command(cli.app), "qsmbench")


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for verb, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {verb}")
        else:
            yield f"{name} {verb}", command


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}"
    yield escaped(command.help)
    plain = re.sub(r"\[/?bold\]", "", command.epilog or "").removeprefix("Example: ")
    yield "```\n" + "\n".join(" ".join(example.split()) for example in plain.split("\n\n")) + "\n```"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
    if arguments:
        rows = [(p.name.upper() + (" …" if p.nargs == -1 else ""), _help(p)) for p in arguments]
        yield table(("argument", ""), rows)
    if options:
        yield table(("option", "", "default"), [(_names(p), p.help, _default(p)) for p in options])


def _help(parameter: Any) -> str:
    return parameter.help + ("" if parameter.required else " (optional)")


def _names(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    return f"{names} {option.metavar or (option.name or '').upper()}"


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return option.show_default
    if option.default is None or option.is_flag or option.default in ((), []):
        return ""
    return f"`{option.default}`"


def _study() -> str:
    parts = [
        "# Keys of a study",
        "A study is a YAML file; [the first page](../index.md#a-study) has an example. Unknown keys are refused.",
    ]
    for title, model in (
        ("The study", Study),
        ("A simulated dataset, an item of `datasets`", Simulated),
        ("A measured dataset, an item of `datasets`", Measured),
        ("A variant of a method, an entry of `methods`", Variant),
    ):
        rows = [(k.name, k.values, k.default if k.default != "null" else "", k.meaning) for k in keys_of(model, None)]
        parts += [f"## {title}", table(("key", "values", "default", "meaning"), rows)]
    return "\n\n".join(parts)
