"""The bounded queue between two threads, and the inbox of the session."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from talkover.engines import IsStale

T = TypeVar("T")

STALE_POLL_S = 0.02
"""how often a blocked producer asks whether its item is still wanted"""
MAX_FRAMES = 1000
"""frames of a client that may wait, whatever their size"""


class BoundedQueue(Generic[T]):
    """First in, first out, at most `capacity` items. Closing wakes everybody: producers give up, consumers see None."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def has_room(self) -> bool:
        return len(self._items) < self.capacity

    def any(self, wanted: Callable[[T], bool]) -> bool:
        """True when an item that waits is `wanted`."""
        with self._changed:
            return any(wanted(item) for item in self._items)

    def try_put(self, item: T) -> bool:
        """Add `item`; False when there is no room or the queue is closed."""
        with self._changed:
            if self._closed or not self.has_room:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def put(self, item: T, is_stale: IsStale) -> bool:
        """Add `item`, waiting for room; False when it went stale or the queue was closed meanwhile."""
        with self._changed:
            while not self._closed:
                if is_stale():
                    return False
                if self.has_room:
                    self._items.append(item)
                    self._changed.notify_all()
                    return True
                self._changed.wait(STALE_POLL_S)
        return False

    def get(self, timeout_s: float | None = None) -> T | None:
        """The oldest item; None when nothing came in time or the queue is closed (what it still held is dropped)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._closed:
                if self._items:
                    item = self._items.popleft()
                    self._changed.notify_all()
                    return item
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
        return None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        return self._closed


class Inbox(Generic[T]):
    """What the session thread waits on: reports of the stages first, then frames of the client, each bounded.

    Reports block their producer when there are too many. Frames are bounded by bytes: `offer_frame` never blocks, it
    says whether the socket may go on reading.
    """

    def __init__(self, max_reports: int, max_frame_bytes: int, on_frame_room: Callable[[], None]) -> None:
        """`on_frame_room` is called, from the session thread, when the socket may go on reading."""
        self._reports: deque[T] = deque()
        self._frames: deque[T | str | bytes] = deque()
        self._frame_bytes = 0
        self._max_reports = max_reports
        self._max_frame_bytes = max_frame_bytes
        self._on_frame_room = on_frame_room
        self._socket_waits = False
        self._changed = threading.Condition()
        self._closed = False

    def report(self, item: T, is_stale: IsStale) -> bool:
        """Add a stage's report, waiting for room; False when it went stale or the session is over."""
        with self._changed:
            while not self._closed:
                if is_stale():
                    return False
                if len(self._reports) < self._max_reports:
                    self._reports.append(item)
                    self._changed.notify_all()
                    return True
                self._changed.wait(STALE_POLL_S)
        return False

    def offer_frame(self, frame: str | bytes) -> bool:
        """Add a client's frame; False when the socket must pause until `on_frame_room`."""
        with self._changed:
            self._frames.append(frame)
            self._frame_bytes += len(frame)
            self._changed.notify_all()
            self._socket_waits = not self._has_frame_room()
            return not self._socket_waits

    @property
    def has_waiting(self) -> bool:
        """Something waits for the session's thread."""
        return bool(self._reports or self._frames)

    def put_behind_frames(self, item: T) -> None:
        """Add what is to be taken after all frames that have come. For the few things that happen to a socket."""
        with self._changed:
            if not self._closed:
                self._frames.append(item)
                self._changed.notify_all()

    def _has_frame_room(self) -> bool:
        return self._frame_bytes < self._max_frame_bytes and len(self._frames) < MAX_FRAMES

    def get(self, timeout_s: float | None, frames_wanted: bool) -> T | str | bytes | None:
        """The next report, else the next frame if wanted; None when nothing came in time or the inbox is closed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._closed:
                if self._reports:
                    report = self._reports.popleft()
                    self._changed.notify_all()
                    return report
                if frames_wanted and self._frames:
                    frame = self._frames.popleft()
                    self._frame_bytes -= len(frame) if isinstance(frame, str | bytes) else 0
                    if self._socket_waits and self._has_frame_room():
                        self._socket_waits = False
                        self._on_frame_room()
                    return frame
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
        return None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._reports.clear()
            self._frames.clear()
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        return self._closed
