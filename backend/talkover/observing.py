"""Those that look on in every session, as the configuration wants them: the list of calls, traces, logs, recordings."""

from __future__ import annotations

from collections.abc import Mapping

from talkover.config import ConfigError, Settings
from talkover.metrics import Metrics
from talkover.realtime.event_recorder import EventLogs
from talkover.realtime.observer import MakeObserver
from talkover.realtime.session_list import SessionList
from talkover.recording.writer import RecordingWriter
from talkover.tracing import Tracing


class Observing:
    """Opened once, used by all sessions."""

    def __init__(self, settings: Settings, engines: Mapping[str, str], metrics: Metrics, max_sessions: int) -> None:
        """`engines`: slot -> name of what fills it. Raises ConfigError."""
        self.sessions = SessionList(metrics, max_sessions, engines)
        tracing = settings.tracing
        self._tracing = None if tracing.exporter == "none" else Tracing(tracing, engines["llm"])
        self._event_logs = _open_event_logs(settings)
        self._recordings = _open_recordings(settings, metrics)

    @property
    def makers(self) -> tuple[MakeObserver, ...]:
        """What makes one of each for a session."""
        return (
            self.sessions.observer,
            *(() if self._tracing is None else (self._tracing.observer,)),
            *(() if self._event_logs is None else (self._event_logs,)),
            *(() if self._recordings is None else (self._recordings.observer,)),
        )

    def close(self) -> None:
        """Write what is still to be written. Takes seconds where a disk or a collector is slow."""
        for writer in (self._event_logs, self._recordings, self._tracing):
            if writer is not None:
                writer.close()


def _open_event_logs(settings: Settings) -> EventLogs | None:
    recording = settings.event_log
    if recording.path is None:
        return None
    try:
        return EventLogs(recording.path, recording.max_mib << 20, recording.audio)
    except OSError as error:
        raise ConfigError([f"event_log.path: must be a folder that can be written ({error})"]) from error


def _open_recordings(settings: Settings, metrics: Metrics) -> RecordingWriter | None:
    recording = settings.recording
    if recording.path is None:
        return None
    try:
        return RecordingWriter(recording, metrics)
    except OSError as error:
        raise ConfigError([f"recording.path: {recording.path} cannot be used: {error}"]) from error
