"""`hsr demo`: a local web page where one drops a pair or a photograph and looks at the result."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hsr_tf.console import terminal
from hsr_tf.imports import require_package

EXAMPLES = ("hsr demo", "hsr demo --port=8080 --max_upload_mib=64 --no-show")


def demo(
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 for any free port.", min=0, max=65535)
    ] = 5006,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in, without a password.")
    ] = "127.0.0.1",
    max_upload_mib: Annotated[
        int, typer.Option("--max_upload_mib", help="MiB that a visitor may upload.", min=1)
    ] = 256,
    max_gib: Annotated[
        float, typer.Option("--max_gib", help="GiB that a cube or picture may take in memory.")
    ] = 2.0,
    max_seconds: Annotated[float, typer.Option("--max_seconds", help="Time limit of a solver.")] = 120.0,
    show: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open a local web page: drop a pair or a photograph, view the result, download it.

    Uploaded files lie in a temporary folder that is removed when the page is closed. Needs hsr_tf[web].
    """
    with terminal.working("starting"):
        terminal.load_keras()
        require_package("panel")
        from hsr_tf.web.jobs import Limits
        from hsr_tf.web.serve import start as serve

        limits = Limits(max_upload_mib, max_gib, max_seconds)

    def tell(address: str) -> None:
        typer.echo(f"open {address} in a browser; Ctrl-C ends it")
        sys.stdout.flush()

    if host not in ("127.0.0.1", "localhost", "::1"):
        typer.echo(f"warning: everybody who reaches {host}:{port} can use it, without a password", err=True)
    serve(host=host, port=port, limits=limits, show=show, when_ready=tell)
