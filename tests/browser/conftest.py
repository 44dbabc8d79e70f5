"""Real Chromium on the page, with a microphone that plays a file. Whatever a page does wrong fails its test."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, sync_playwright

from recordings import silence, speech, wav
from talkover.audio import OUTPUT_RATE_HZ
from talkover.messages import Samples

MICROPHONE_RATE_HZ = 48_000
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
]
WATCH = (Path(__file__).parent / "watch.js").read_text()
"""Runs in the page before its own scripts: notes what goes over the socket and what the content policy forbids."""


class Visit:
    """One page in one browser."""

    def __init__(self, browser: Browser, url: str, complaints_allowed: tuple[str, ...], **context: Any) -> None:
        """`complaints_allowed`: parts of console errors that the test provokes."""
        self.url = url
        self.context: BrowserContext = browser.new_context(**context)
        self.context.add_init_script(WATCH)
        self.page: Page = self.context.new_page()
        self._allowed = complaints_allowed
        self._complaints: list[str] = []
        self._requests: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._complaints.append(f"uncaught: {error}"))
        self.page.on("request", self._request)
        self.page.goto(url, wait_until="networkidle")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; `talkover` is the page's debugging object."""
        return self.page.evaluate(expression)

    def wait(self, expression: str, timeout_s: float = 20) -> None:
        """Until a JavaScript expression is true. Asked from outside: the page's policy forbids to evaluate inside."""
        deadline = time.monotonic() + timeout_s
        while not self.ask(expression):
            if time.monotonic() > deadline:
                raise AssertionError(f"never true: {expression}; {self.ask('talkover.mood')}, {self.history}")
            self.pause(0.02)

    def pause(self, duration_s: float) -> None:
        self.page.wait_for_timeout(duration_s * 1000)

    def wait_answered(self, n_items: int) -> None:
        """Until the last of `n_items` has been heard to its end."""
        self.wait(f"talkover.history.length === {n_items} && talkover.state.items.at(-1).ended")

    def picture(self, path: Path) -> None:
        path.write_bytes(self.page.screenshot())

    def start_talking(self) -> None:
        self.page.get_by_role("button", name="Start talking").click()

    def type(self, text: str) -> None:
        self.page.get_by_label("Message").fill(text)
        self.page.keyboard.press("Enter")

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.ask("talkover.history")

    def rendered(self) -> Samples:
        """(n,) float32 at 24 kHz: all that went to the loudspeaker, when the page was opened with `?record=1`."""
        recording = self.ask("talkover.recording()")
        assert recording["rateHz"] == OUTPUT_RATE_HZ
        return np.frombuffer(base64.b64decode(recording["pcm16Base64"]), "<i2").astype(np.float32) / 32768

    def check(self) -> None:
        """Nothing was complained about, nothing forbidden was tried, nobody else was asked. Raises AssertionError."""
        unexpected = [text for text in self._complaints if not any(part in text for part in self._allowed)]
        assert not unexpected, unexpected
        assert self.ask("watched.violations") == []
        host = urlsplit(self.url).netloc
        foreign = [url for url in self._requests if urlsplit(url).netloc not in (host, "")]
        assert not foreign, foreign

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        self._requests.append(request.url)


Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium() -> str | None:
    """Path of an installed one; none: Playwright's own."""
    if named := os.environ.get("CHROMIUM"):
        return named
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def visit(playwright: Playwright, chromium: str | None, tmp_path: Path) -> Iterator[Open]:
    """`visit(url, microphone=samples, ...)` opens the page; none: the browser refuses the microphone."""
    if chromium is None and not Path(playwright.chromium.executable_path).exists():
        pytest.skip("Chromium is missing; `.ci/browser` installs it")
    visits: list[Visit] = []
    with ExitStack() as stack:

        def open_page(
            url: str, microphone: Samples | None = None, complaints_allowed: tuple[str, ...] = (), **context: Any
        ) -> Visit:
            arguments = [*ARGUMENTS]
            if microphone is not None:
                file = tmp_path / f"microphone-{len(visits)}.wav"
                file.write_bytes(wav(microphone, MICROPHONE_RATE_HZ))
                arguments += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={file}%noloop"]
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            stack.callback(browser.close)
            visits.append(Visit(browser, url, complaints_allowed, **context))
            return visits[-1]

        yield open_page
        for one in visits:
            one.check()


@pytest.fixture(scope="session")
def microphone() -> Callable[..., Samples]:
    """`microphone("recording", 3.0, "recording")`: what it hears, recordings and silences in seconds."""

    def heard(*parts: str | float) -> Samples:
        # a browser loses the first milliseconds, and ends the track where the file ends
        padded: tuple[str | float, ...] = (0.5, *parts, 60.0)
        return np.concatenate(
            [
                speech(part, MICROPHONE_RATE_HZ) if isinstance(part, str) else silence(part, MICROPHONE_RATE_HZ)
                for part in padded
            ]
        )

    return heard


@pytest.fixture(scope="session")
def screenshots(artefacts: Path) -> Path:
    folder = artefacts / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder
