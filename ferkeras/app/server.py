"""Handing the page out: on this machine, without telemetry, and without a request to any other."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ferkeras.app.model import Model
from ferkeras.errors import InputError, MissingExtraError

#: Bytes of one upload.
MAX_BYTES = 100 * 1024**2
#: What a request may hold besides the file: little more than this limit, Gradio itself refuses a file in better words.
_ENVELOPE = 4 * 1024**2
#: Seconds between two looks for old files, and after which a file is old: a film may be worked on for hours.
CLEANING_S = (600, 6 * 3600)
#: The browser itself refuses whatever would leave this machine. Gradio compiles small functions and sets styles inline.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "permissions-policy": "camera=(self), microphone=()",
}


def check_address(host: str, port: int) -> None:
    """Raises `InputError` where the page could not be handed out, before any network is loaded."""
    if not 0 < port < 65536:
        raise InputError("A port is a number from 1 to 65535", received=port)
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        action = "Choose another one by --host and --port."
        raise InputError(f"The address cannot be used: {error}", received=f"{host}:{port}", action=action) from error


def check_gradio() -> None:
    """Raises `MissingExtraError` if Gradio is not installed."""
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise MissingExtraError("gradio", extra="app")


@contextmanager
def serving(models: Sequence[Model], *, host: str, port: int, max_bytes: int = MAX_BYTES) -> Iterator[str]:
    """Hands out the page while the block runs, and removes all its files after; yields the address.

    Args:
        models: One run, or two to compare.
        host: Address to listen at.
        port: Likewise.
        max_bytes: Of one upload.

    Raises:
        MissingExtraError: if Gradio is not installed.
        InputError: if the address cannot be used.
    """
    check_gradio()
    check_address(host, port)
    with tempfile.TemporaryDirectory(prefix="ferkeras-app-") as folder:
        _isolate(Path(folder))
        from ferkeras.app.page import STYLE, build, theme
        from ferkeras.app.session import Sessions

        page = build(models, Sessions(Path(folder)), cleaning_s=CLEANING_S)
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                inbrowser=False,
                show_error=False,
                max_file_size=max_bytes,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                theme=theme(),
                css=STYLE,
                app_kwargs={"middleware": [_middleware(max_bytes)], "docs_url": None, "redoc_url": None},
            )
            yield address
        finally:
            page.close(verbose=False)


def wait() -> None:
    """Until Ctrl-C, or until the system asks the program to end: files are to be removed then as well."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Event().wait()


def _isolate(folder: Path) -> None:
    """Settings that Gradio reads from the environment when it is imported."""
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.pop("GRADIO_SHARE", None)
    # Gradio asks its own server whether it runs; that must not go through a proxy.
    local = [os.environ.get("NO_PROXY", ""), "127.0.0.1", "localhost"]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, local))


def _middleware(max_bytes: int) -> Any:
    """Refuses bodies that are too large before they are read, and adds `_HEADERS` to every answer."""
    from starlette.middleware import Middleware
    from starlette.responses import PlainTextResponse

    class Guard:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await self.app(scope, receive, send)
                return

            async def send_with_headers(message: Any) -> None:
                if message["type"] == "http.response.start":
                    added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                    message = {**message, "headers": [*message["headers"], *added]}
                await send(message)

            received = 0

            async def receive_within_limit() -> Any:  # for bodies that do not say how long they are
                nonlocal received
                message = await receive()
                received += len(message.get("body", b""))
                return {"type": "http.disconnect"} if received > max_bytes + _ENVELOPE else message

            length = dict(scope["headers"]).get(b"content-length", b"0")
            if int(length) > max_bytes + _ENVELOPE:
                answer = PlainTextResponse(f"A file may have {max_bytes // 1024**2} MiB.", status_code=413)
                await answer(scope, receive, send_with_headers)
                return
            await self.app(scope, receive_within_limit, send_with_headers)

    return Middleware(Guard)
