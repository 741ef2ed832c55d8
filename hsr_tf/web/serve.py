"""The server of the page: Panel's, bound to this machine by default, with bounded messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn

from hsr_tf.web.jobs import MIB, Limits
from hsr_tf.web.page import TITLE, Visit
from hsr_tf.web.results import PATTERN, ResultHandler, Results

MOST_MESSAGE_BYTES = 4 * MIB
UNUSED_MILLISECONDS = 15_000


def start(
    *,
    host: str = "127.0.0.1",
    port: int = 5006,
    limits: Limits | None = None,
    show: bool = False,
    when_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until interrupted; what visitors uploaded is removed then.

    Args:
        host: address to listen on.
        port: 0 for any that is free.
        limits: of uploads, memory and time.
        show: open a browser.
        when_ready: called with the page's address once it can be opened; also with a `port` of 0.

    Raises:
        OSError: the port is taken.
    """
    pn.extension("filedropper", sizing_mode="fixed")
    limits, results = limits or Limits(), Results()
    visits: list[Visit] = []

    def page() -> Any:
        visits[:] = [visit for visit in visits if visit.is_open]
        visits.append(Visit(limits, results))
        return visits[-1].page()

    server = pn.serve(
        {"/": page},
        address=host,
        port=port,
        start=False,
        show=False,
        title=TITLE,
        extra_patterns=[(PATTERN, ResultHandler, {"results": results})],
        websocket_max_message_size=MOST_MESSAGE_BYTES,
        unused_session_lifetime=UNUSED_MILLISECONDS,
        check_unused_sessions=UNUSED_MILLISECONDS // 3,
        allow_websocket_origin=None if host in ("127.0.0.1", "localhost") else [f"{host}:{port}"],
    )
    address = f"http://{host}:{server.port}/"
    if when_ready is not None:
        server.io_loop.add_callback(when_ready, address)
    if show:
        server.io_loop.add_callback(server.show, "/")
    server.start()
    try:
        server.io_loop.start()
    finally:
        for visit in visits:
            visit.close()
