"""The `hsr` command, one module a command.

Bad input ends with one line on stderr and exit code 2, an interrupt with 130; a result is written whole or
not at all. `HSR_DEBUG=1` shows the traceback as well. Keras is loaded only by the commands that compute, and
only after the files have been looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from hsr_tf import __version__
from hsr_tf.cli import (
    check,
    convert,
    demo,
    evaluate,
    fuse,
    info,
    list_methods,
    network,
    quality,
    register,
    report,
    sensors,
    simulate,
    upscale,
)
from hsr_tf.console import terminal
from hsr_tf.console.errors import exit_code
from hsr_tf.process import prepare

app = typer.Typer(
    name="hsr",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fuse a low-resolution hyperspectral cube and a sharp colour image into a sharp cube, "
    "or enlarge a picture.",
    epilog="Start with [bold]hsr methods[/bold] and [bold]hsr fuse --help[/bold].",
)


@app.callback(invoke_without_command=True)
def _hsr(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"hsr {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _command in (
    simulate.simulate,
    check.check,
    register.register,
    fuse.fuse,
    upscale.upscale,
    evaluate.evaluate,
    quality.quality,
    report.report,
    convert.convert,
    info.info,
    demo.demo,
    sensors.sensors,
    list_methods.methods,
    network.network,
):
    # The empty lines keep rich from joining the examples.
    _examples = "\n\n".join(f"[cyan]{line}[/cyan]" for line in sys.modules[_command.__module__].EXAMPLES)
    app.command(_command.__name__, epilog=f"[bold]Examples[/bold]\n\n{_examples}")(_command)


def main() -> None:
    """Entry point of the `hsr` command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code.

    0: done. 2: bad input, one line on stderr says which. 130: interrupted. 1: an error of the program itself,
    or a pair that `hsr check` found not fusable. 3: `hsr fuse --strict` and a verdict that is not green.
    """
    prepare()
    return exit_code(
        lambda: app(list(arguments), prog_name="hsr", standalone_mode=False), usage_line=terminal.usage_line
    )
