"""A headless Chromium for tests, driven over a pipe by the Chrome DevTools protocol; no other package is needed."""

import base64
import fcntl
import functools
import http.server
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)
# The browser reads commands from descriptor 3 and writes answers to 4.
_LAUNCH = (
    "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def find_chromium() -> str | None:
    """Path of the browser: `FERKERAS_CHROMIUM`, else one of `NAMES`."""
    return os.environ.get("FERKERAS_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Hands out the files of `folder` on this machine; yields the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Page:
    """One page of a browser; `problems` collects errors, warnings and refused connections that it reports."""

    def __init__(self, executable: str, *, profile: Path, camera: Path | None = None) -> None:
        (read, child_write), (child_read, write) = os.pipe(), os.pipe()
        # Above the two numbers that the child needs.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (child_read, child_write)]
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        fake = [f"--use-file-for-fake-video-capture={camera}"] if camera else []
        command = [executable, *_FLAGS, *sandbox, *fake, f"--user-data-dir={profile}", "about:blank"]
        self._browser = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *map(str, high), *command],
            pass_fds=high,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (child_read, child_write, *high):
            os.close(fd)
        self._write, self._read = os.fdopen(write, "wb"), os.fdopen(read, "rb")
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.problems: list[str] = []
        self._session: str | None = None
        self._count = 0
        threading.Thread(target=self._listen, daemon=True).start()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.send(f"{domain}.enable")

    def _listen(self) -> None:
        buffer = b""
        while chunk := self._read.read1(1 << 16):
            *messages, buffer = (buffer + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.put(message)
                self._note(message.get("method", ""), message.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while True:
            answer = self._answers.get(timeout=60)
            if answer["id"] == self._count:
                break
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait(self, expression: str, *, seconds: float = 60) -> Any:
        """The value of `expression` once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > end:
                status = self.evaluate("document.querySelector('#status')?.textContent")
                raise TimeoutError(f"{expression} after {seconds} s; the page says: {status}; {self.problems}")
            time.sleep(0.05)
        return value

    def choose_file(self, selector: str, path: Path) -> None:
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def close(self) -> None:
        self._session = None
        try:
            self.send("Browser.close")
            self._browser.wait(timeout=20)
        except (OSError, RuntimeError, queue.Empty, subprocess.TimeoutExpired):
            self._browser.kill()
            self._browser.wait()
        self._write.close()
        self._read.close()
