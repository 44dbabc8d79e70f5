"""Microphone and loudspeaker of this machine, through PortAudio."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.client.loudspeaker import Cut, Loudspeaker
from talkover.messages import Samples

BLOCK_SAMPLES = ms_to_samples(20, OUTPUT_RATE_HZ)
MAX_UNSENT_BLOCKS = 250
"""5 s of microphone; older sound is dropped when the connection does not take it"""
REMEMBERED_S = 60.0


class NoDevice(Exception):
    """There is no microphone or loudspeaker to use; the message says what to do."""


class DevicePlayer:
    """A queue that the sound card empties, with the record of what it took. For several threads."""

    def __init__(self) -> None:
        self.record = Loudspeaker()
        self._lock = threading.Lock()
        self._queue: deque[tuple[str, Samples]] = deque()
        self._played: dict[str, int] = {}
        self._gain = self._target_gain = 1.0
        self._gain_step = 1.0
        self._playing: str | None = None

    def play(self, item_id: str, samples: Samples, now_s: float) -> None:
        with self._lock:
            if samples.size:
                self._queue.append((item_id, samples))

    def flush(self, now_s: float) -> Cut | None:
        with self._lock:
            item_id = self._queue[0][0] if self._queue else self._playing
            self._queue.clear()
            self._playing = None
            return None if item_id is None else Cut(item_id, self._played_ms(item_id))

    def set_gain(self, gain: float, ramp_s: float, now_s: float) -> None:
        with self._lock:
            self._target_gain = gain
            self._gain_step = abs(gain - self._gain) / max(1.0, ramp_s * OUTPUT_RATE_HZ)

    def playing(self, now_s: float) -> str | None:
        with self._lock:
            return self._playing

    def played_ms(self, item_id: str, now_s: float) -> float:
        with self._lock:
            return self._played_ms(item_id)

    def take(self, n_samples: int) -> Samples:
        """(n,) float32, the next to be heard; silence where nothing is queued."""
        block = np.zeros(n_samples, np.float32)
        now_s = time.monotonic()
        with self._lock:
            filled = 0
            while self._queue and filled < n_samples:
                item_id, samples = self._queue.popleft()
                used = samples[: n_samples - filled]
                if used.size < samples.size:
                    self._queue.appendleft((item_id, samples[used.size :]))
                block[filled : filled + used.size] = used
                self.record.play(item_id, used, now_s + filled / OUTPUT_RATE_HZ)
                self._played[item_id] = self._played.get(item_id, 0) + used.size
                self._playing = item_id
                filled += used.size
            if filled == 0:
                self._playing = None
            self.record.forget(now_s - REMEMBERED_S)
            return block * self._next_gains(n_samples)

    def _played_ms(self, item_id: str) -> float:
        return self._played.get(item_id, 0) * 1000 / OUTPUT_RATE_HZ

    def _next_gains(self, n_samples: int) -> Samples:
        """(n,) factors: the volume moves in a ramp, without a click."""
        direction = np.sign(self._target_gain - self._gain)
        gains = self._gain + direction * self._gain_step * np.arange(1, n_samples + 1)
        low, high = sorted((self._gain, self._target_gain))
        gains = np.clip(gains, low, high).astype(np.float32)
        self._gain = float(gains[-1]) if n_samples else self._gain
        return gains


class SoundCard:
    """Full duplex: the microphone goes to `take`, what the player holds goes to the loudspeaker."""

    def __init__(self, player: DevicePlayer, take: Callable[[Samples], None]) -> None:
        """`take` gets (480,) float32 at 24 kHz on a thread of its own. Raises NoDevice."""
        self._player = player
        self._take = take
        self._blocks: deque[Samples] = deque(maxlen=MAX_UNSENT_BLOCKS)
        self._arrived = threading.Condition()
        self._stopped = False
        self._stream = self._open()
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stream.close()
        with self._arrived:
            self._stopped = True
            self._arrived.notify_all()
        self._thread.join(1.0)

    def _open(self) -> Any:
        try:
            import sounddevice
        except OSError as error:
            raise NoDevice(
                "Talking by microphone needs PortAudio (Debian: sudo apt-get install libportaudio2); "
                "or talk with a recording: --input question.wav --output reply.wav"
            ) from error
        try:
            stream = sounddevice.Stream(
                samplerate=OUTPUT_RATE_HZ,
                blocksize=BLOCK_SAMPLES,
                channels=1,
                dtype="float32",
                latency="low",
                callback=self._on_block,
            )
            stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise NoDevice(
                f"There is no microphone and loudspeaker to use ({error}); `python -m sounddevice` lists them; "
                "or talk with a recording instead: --input question.wav --output reply.wav"
            ) from error
        return stream

    def _on_block(self, incoming: Any, outgoing: Any, n_samples: int, _time: Any, _status: Any) -> None:
        outgoing[:, 0] = self._player.take(n_samples)
        with self._arrived:
            self._blocks.append(np.array(incoming[:, 0], np.float32))
            self._arrived.notify()

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not self._blocks and not self._stopped:
                    self._arrived.wait()
                if self._stopped:
                    return
                block = self._blocks.popleft()
            try:
                self._take(block)
            except OSError:  # the connection is gone; whoever waits on it is told by the client
                return
