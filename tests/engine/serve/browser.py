"""A real Chromium without a window, told what to do over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_SECONDS = 600  # machines that test are busy


def find_browser() -> str | None:
    """The program, where one is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Tab:
    """A page that is open: asks it, and keeps what it requested and complained of."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection, self._number = connection, 0
        self.requested: list[str] = []  # addresses
        self.complaints: list[str] = []  # errors of scripts, and what was refused or failed
        self.dialogs: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **arguments: Any) -> Any:
        """The answer to a command."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": arguments}))
        while True:
            message = json.loads(self._connection.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
            case "Network.webSocketCreated":
                self.requested.append(told["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["exceptionDetails"]))
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            case "Page.javascriptDialogOpening":
                self.dialogs.append(told["message"])

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """What JavaScript says."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str, holds: Callable[[Any], bool] = bool) -> Any:
        """The first value of an expression of which something holds."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.value(expression)
            if holds(found):
                return found
            assert time.monotonic() < end, f"{expression} stayed {found!r}; {self.complaints}"
            time.sleep(0.1)

    def drop(self, selector: str, files: Sequence[Path]) -> None:
        """Choose files in an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def screenshot(self, file: Path) -> None:
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def browser_tab(profile: Path, size_wh: tuple[int, int] = (1280, 1000)) -> Iterator[Tab]:
    """A fresh browser with one empty tab while the block lasts."""
    program = find_browser()
    assert program is not None
    port_file = profile / "DevToolsActivePort"
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += ["--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}"]
    command += [f"--window-size={size_wh[0]},{size_wh[1]}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + PATIENCE_SECONDS
            while not (port_file.is_file() and len(port_file.read_text().splitlines()) == 2):
                assert process.poll() is None, "the browser ended at once"
                assert time.monotonic() < end, "the browser does not start"
                time.sleep(0.05)
            connection = _connected(port_file.read_text().splitlines()[0])
            try:
                tab = Tab(connection)
                tab.call(
                    "Emulation.setDeviceMetricsOverride",
                    width=size_wh[0],
                    height=size_wh[1],
                    deviceScaleFactor=1,
                    mobile=False,
                )
                yield tab
            finally:
                connection.close()
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _connected(port: str) -> websocket.WebSocket:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = json.load(answer)
    address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
    return websocket.create_connection(address, timeout=PATIENCE_SECONDS)
