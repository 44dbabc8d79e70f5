"""Runs server-side tools, a thread for each call, and reports how they ended. Decides nothing."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from talkover.messages import ToolFinished
from talkover.pipeline.stage import Emit
from talkover.tools.tool import Tool, ToolContext, ToolFailed, failure_output

log = logging.getLogger(__name__)

BUSY = "The server runs as many tools as it can: try again in a moment."
BROKEN = "The tool did not work because of a fault on our side."


class ToolRunner:
    """The tools of one session. A tool that does not end keeps its thread and its slot, and delays nobody."""

    def __init__(self, report: Emit, slots: threading.Semaphore, label: str) -> None:
        """`slots`: how many tools may run in the process."""
        self._report = report
        self._slots = slots
        self._label = label
        self._stopped: dict[int, threading.Event] = {}

    def start(self, run_id: int, tool: Tool, arguments: dict[str, Any], key: str, timeout_s: float) -> None:
        """Run `tool` and report a `ToolFinished`, unless stopped before. Does not wait."""
        stopped = self._stopped[run_id] = threading.Event()
        if not self._slots.acquire(blocking=False):
            self._end(ToolFinished(run_id, failure_output(BUSY), failed=True), stopped)
            return
        context = ToolContext(key, time.monotonic() + timeout_s, stopped.is_set)
        threading.Thread(
            target=self._run, args=(run_id, tool, arguments, context, stopped), name=f"tool-{self._label}", daemon=True
        ).start()

    def stop(self, run_id: int) -> None:
        """Its result is not wanted any more."""
        if (stopped := self._stopped.pop(run_id, None)) is not None:
            stopped.set()

    def close(self) -> None:
        """The session is over. Does not wait."""
        for run_id in list(self._stopped):
            self.stop(run_id)

    def _run(
        self, run_id: int, tool: Tool, arguments: dict[str, Any], context: ToolContext, stopped: threading.Event
    ) -> None:
        try:
            result = tool.run(arguments, context)
            finished = ToolFinished(run_id, result.output, sources=result.sources, signal=result.signal)
        except ToolFailed as error:
            finished = ToolFinished(run_id, failure_output(str(error)), failed=True)
        except Exception as error:
            # not its message: `KeyError` and others quote arguments, which are what somebody said
            where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            log.error("tool %s failed with %s, at\n%s", tool.name, type(error).__name__, where)
            log.debug("tool %s", tool.name, exc_info=error)
            finished = ToolFinished(run_id, failure_output(BROKEN), failed=True)
        finally:
            self._slots.release()
        self._end(finished, stopped)

    def _end(self, finished: ToolFinished, stopped: threading.Event) -> None:
        is_stopped: Callable[[], bool] = stopped.is_set
        self._report(finished, is_stopped)
        self._stopped.pop(finished.run_id, None)
