"""What a key has in use: sessions now, and audio today. In memory: a restart begins the day anew."""

from __future__ import annotations

import threading

from talkover.access.keys import Key

DAY_S = 86_400


class KeyUsage:
    """Of one key. Safe for use from many threads: sessions report their audio from theirs."""

    def __init__(self, key: Key) -> None:
        self._max_sessions = key.max_sessions
        self._audio_limit_s = None if key.audio_minutes_per_day is None else key.audio_minutes_per_day * 60
        self._sessions = 0
        self._audio_s = 0.0
        self._day = 0
        self._lock = threading.Lock()

    @property
    def limits_audio(self) -> bool:
        return self._audio_limit_s is not None

    def enter(self) -> bool:
        """Begin a session; False when as many as allowed are open."""
        with self._lock:
            if self._max_sessions is not None and self._sessions >= self._max_sessions:
                return False
            self._sessions += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._sessions -= 1

    def spend_audio(self, seconds: float, unix_s: float) -> bool:
        """Count audio that was heard or spoken; False when the day's share is used up."""
        with self._lock:
            day = int(unix_s // DAY_S)
            if day != self._day:
                self._day, self._audio_s = day, 0.0
            self._audio_s += seconds
            return self._audio_limit_s is None or self._audio_s < self._audio_limit_s

    def has_audio(self, unix_s: float) -> bool:
        return self.spend_audio(0.0, unix_s)
