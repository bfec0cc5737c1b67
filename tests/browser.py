"""A headless Chromium for tests of pages, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Page:
    """One tab.

    messages: texts of its console, of exceptions, of what a policy refused; requests: addresses asked for
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._replies: dict[int, Future[Any]] = {}
        self._loop = asyncio.new_event_loop()
        self._outbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._opened: Future[None] = Future()
        self._thread: threading.Thread | None = None

    def connect(self, address: str) -> None:
        """Attach to a tab's debugging address."""
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._talk(address)), daemon=True
        )
        self._thread.start()
        self._opened.result(20)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol and its result."""
        number = len(self._replies) + 1
        reply = self._replies[number] = Future()
        command = json.dumps({"id": number, "method": method, "params": parameters})
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, command)
        result = reply.result(60)
        assert "error" not in result, result
        return result["result"]

    def open(self, url: str) -> None:
        """Load a page and wait until it is there."""
        self.run("window.isOld = true")
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && !window.isOld")

    def run(self, script: str) -> Any:
        """The value of an expression; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, condition: str, timeout_s: float = 30) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + timeout_s
        while not self.run(condition):
            assert time.monotonic() < end, f"{condition} did not come about; {self.messages}"
            time.sleep(0.02)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press and release a key; code: its Windows number, 9 for Tab, 13 for Enter."""
        keys = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **keys, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **keys)

    def dark(self, is_dark: bool) -> None:
        """What the page hears about the reader's taste."""
        value = "dark" if is_dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def size(self, width: int, height: int) -> None:
        """Size of the window in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """End the connection."""
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, None)
        if self._thread is not None:
            self._thread.join(10)

    async def _talk(self, address: str) -> None:
        import aiohttp

        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            self._opened.set_result(None)
            sending = asyncio.ensure_future(self._send(socket))
            async for message in socket:
                self._hear(json.loads(message.data))
            sending.cancel()

    async def _send(self, socket: Any) -> None:
        while (command := await self._outbox.get()) is not None:
            await socket.send_str(command)
        await socket.close()

    def _hear(self, event: dict[str, Any]) -> None:
        if "id" in event:
            self._replies[event["id"]].set_result(event)
            return
        facts = event["params"]
        if event["method"] == "Runtime.exceptionThrown":
            self.messages.append(json.dumps(facts["exceptionDetails"])[:500])
        elif event["method"] == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(one.get("value")) for one in facts["args"]))
        elif event["method"] == "Log.entryAdded":
            self.messages.append(facts["entry"]["text"])
        elif event["method"] == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])


def chromium() -> str:
    """The browser's program; the test is skipped where there is none."""
    program = os.environ.get("UNIVAR_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium: install it, or set UNIVAR_CHROMIUM to its program")
    return program


@contextmanager
def browser_page(*options: str) -> Iterator[Page]:
    """An empty tab of a new browser with a profile of its own."""
    pytest.importorskip("aiohttp", reason="needs the extra [elicit]")
    program = chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        fixed = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions")
        own = ("--remote-debugging-port=0", f"--user-data-dir={profile}", "--disable-background-networking")
        started = subprocess.Popen(
            [program, *fixed, *own, *options, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        page = Page()
        try:
            page.connect(_address(Path(profile) / "DevToolsActivePort", started))
            yield page
        finally:
            page.close()
            started.terminate()
            started.wait(20)


def _address(port_file: Path, started: subprocess.Popen[bytes]) -> str:
    """The debugging address of the first tab."""
    import urllib.request

    end = time.monotonic() + 40
    while not (port_file.exists() and len(port_file.read_text().split()) == 2):
        assert started.poll() is None, "the browser did not start"
        assert time.monotonic() < end, "the browser opened no port"
        time.sleep(0.05)
    port = port_file.read_text().split()[0]
    while time.monotonic() < end:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as reply:
            tabs = [tab for tab in json.load(reply) if tab["type"] == "page"]
        if tabs:
            address: str = tabs[0]["webSocketDebuggerUrl"]
            return address
        time.sleep(0.05)
    raise AssertionError("the browser has no tab")
