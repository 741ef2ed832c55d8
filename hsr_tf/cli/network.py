"""`hsr network`: what a network consists of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsr_tf.console import terminal
from hsr_tf.files import HTML, require_output, write_json

EXAMPLES = (
    "hsr network vdsr",
    "hsr network ms_ssfnet --scale=16 --option=features=32",
    "hsr network kbpn --option=num_modules=10 --option=features=64 --output=kbpn.html",
    "hsr network ms_ssfnet_nikon_d700_31_x8 --json=network.json",
    "hsr network runs/mine/model",
)


def network(
    name: Annotated[
        str,
        typer.Argument(
            help="A network of hsr methods, weights that come with the package, or the folder of a trained "
            "or exported model."
        ),
    ],
    scale: Annotated[
        int | None, typer.Option(help="Scale factor; by default 8 for fusion, 4 for pictures.")
    ] = None,
    num_bands: Annotated[
        int | None, typer.Option("--num_bands", help="Bands of the cube; by default 31.")
    ] = None,
    num_channels: Annotated[
        int | None,
        typer.Option(
            "--num_channels", help="Channels of the sharp image (default 3) or picture (default 1)."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Closed form that a fusion network adds to; default none, for dhsis sylvester."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the network, NAME=VALUE; may be repeated.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List activations, sums and repeated layers as well.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file as well.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Draw the graph beside the table on a page (.html).")
    ] = None,
) -> None:
    """Show a network's layers: sizes, parameters, receptive field, work.

    Sizes are in terms of the small picture's: 8h x 8w x 31 is eight times
    as high and wide, with 31 channels. Multiply-adds are those of
    convolutions and dense layers.
    """
    if json_file is not None:
        require_output("json", json_file)
    if output is not None:
        require_output("output", output, suffixes=HTML)
    terminal.load_keras()
    from hsr_tf.networks.inspection import Sizes, inspect_network
    from hsr_tf.report.network_table import network_facts, network_table, table_note
    from hsr_tf.report.screen import facts

    with terminal.working("building the network"):
        sizes = Sizes(scale, num_bands, num_channels, base)
        found = inspect_network(name, sizes, options=option or ())
    terminal.show(facts(network_facts(found)))
    terminal.show(network_table(found.structure, everything=everything))
    typer.echo(table_note(found.structure, everything=everything))
    if json_file is not None:
        write_json(json_file, found.to_json())
        typer.echo(f"wrote {json_file}")
    if output is not None:
        with terminal.working("drawing the graph"):
            from hsr_tf.report.html.network_page import write_network_page

            write_network_page(found, output)
        typer.echo(f"wrote {output}")
