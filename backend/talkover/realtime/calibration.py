"""What the engines take on this machine, measured before the port opens: the machine talks to itself for two seconds.

The speech synthesis says a sentence, the recogniser hears it, and a session listens to it. Processor time is counted,
so that the result does not depend on what else runs; engines that work elsewhere are not asked: that may cost money.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from talkover.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, ms_to_samples, resampled, samples_to_pcm16
from talkover.engines import AsrEngine, EngineFailed, Engines, IsStale, TtsEngine, VadEngine, slots
from talkover.messages import Samples, VoiceSettings
from talkover.pipeline.cancel import Generations
from talkover.process_tree import tree_cpu_s
from talkover.realtime.capacity import Capacity, Costs, EngineCost, capacity
from talkover.realtime.session import Opened, RealtimeSession
from talkover.realtime.session_options import SessionOptions
from talkover.vad.frame_sound import MeasuredSounds

SENTENCE = "Hello, what can you do for me today?"
FRAME_SAMPLES = ms_to_samples(20, OUTPUT_RATE_HZ)
"""of one `input_audio_buffer.append`, as stock clients send them"""
PIECE_SAMPLES = ms_to_samples(100, INPUT_RATE_HZ)
PATIENCE_S = 1.0
"""for one engine; one that has made nothing by then is taken to need so long for `LEAST_S` of audio"""
LEAST_S = 0.1
NOISE = 10 ** (-60 / 20)


def calibrated(engines: Engines, options: SessionOptions) -> Capacity:
    """How many conversations these engines carry here. Takes about half a second; nothing else may use them."""
    speech = np.random.default_rng(0).normal(0.0, NOISE, 2 * OUTPUT_RATE_HZ).astype(np.float32)
    tts, spoken = _tts(engines.tts)
    speech = speech if spoken is None else spoken
    costs = Costs(_listening_s(engines.vad, options, speech), _asr(engines.asr, speech), tts)
    return capacity(costs, _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tts(engine: TtsEngine) -> tuple[EngineCost | None, Samples | None]:
    """Its cost, and (n,) float32 at 24 kHz of what it said."""
    n_slots = slots(engine)
    if n_slots is None:
        return None, None
    made: list[Samples] = []
    settings = VoiceSettings(engine.aliases().get("default") or engine.voices()[0].id)

    def work(is_stale: IsStale) -> None:
        made.extend(chunk.samples for chunk in engine.synthesize(SENTENCE, settings, is_stale))

    cpu_s, wall_s, workers_s = _timed(work)
    audio = np.concatenate(made) if made else np.zeros(0, np.float32)
    cost = _cost(engine.name, cpu_s, wall_s, audio.size / OUTPUT_RATE_HZ, n_slots, in_process=workers_s == 0)
    return cost, audio if audio.size >= OUTPUT_RATE_HZ else None


def _asr(engine: AsrEngine, speech: Samples) -> EngineCost | None:
    """`speech`: (n,) float32 at 24 kHz."""
    n_slots = slots(engine)
    if n_slots is None:
        return None
    heard = resampled(speech, OUTPUT_RATE_HZ, INPUT_RATE_HZ)

    def work(is_stale: IsStale) -> None:
        stream = engine.stream()
        try:
            for start in range(0, heard.size, PIECE_SAMPLES):
                stream.feed(heard[start : start + PIECE_SAMPLES])
            stream.finish(is_stale)
        finally:
            stream.close()

    cpu_s, wall_s, workers_s = _timed(work)
    return _cost(engine.name, cpu_s, wall_s, heard.size / INPUT_RATE_HZ, n_slots, in_process=workers_s == 0)


def _listening_s(vad: VadEngine, options: SessionOptions, speech: Samples) -> float:
    """Seconds of a core for a second of a session that only hears `speech`, (n,) float32 at 24 kHz."""
    session = RealtimeSession(replace(options, greeting=""), MeasuredSounds(vad.stream()), Generations(), Generations())
    frames = [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
        for pcm in (
            samples_to_pcm16(speech[start : start + FRAME_SAMPLES])
            for start in range(0, speech.size - FRAME_SAMPLES + 1, FRAME_SAMPLES)
        )
    ]
    now_s = time.monotonic()
    session.handle(Opened(), now_s)
    began_s = time.thread_time()
    for index, frame in enumerate(frames):
        at_s = now_s + index * FRAME_SAMPLES / OUTPUT_RATE_HZ
        session.handle(frame, at_s)
        while not session.ready_for_frames:
            session.handle(None, at_s)
    return (time.thread_time() - began_s) / (len(frames) * FRAME_SAMPLES / OUTPUT_RATE_HZ)


def _timed(work: Callable[[IsStale], None]) -> tuple[float, float, float]:
    """Processor time of this process and its workers, time that passed, and the workers' share of the first."""
    began_s, own_s, all_s = time.monotonic(), time.process_time(), tree_cpu_s(os.getpid())
    with suppress(EngineFailed):  # it has cost what it has cost; sessions meet the failure, too
        work(lambda: time.monotonic() > began_s + PATIENCE_S)
    own_s = time.process_time() - own_s
    tree_s = own_s if all_s is None else (tree_cpu_s(os.getpid()) or 0.0) - all_s
    # the tree is counted in ticks of 10 ms, of which both ends may be one off
    workers_s = max(0.0, tree_s - own_s) if tree_s - own_s > 2 / os.sysconf("SC_CLK_TCK") else 0.0
    return own_s + workers_s, time.monotonic() - began_s, workers_s


def _cost(name: str, cpu_s: float, wall_s: float, audio_s: float, n_slots: int, in_process: bool) -> EngineCost:
    """A slot is taken for as long as the engine works: the processor's time, or the clock's where it uses several cores
    or another device. On a busy machine the clock's is too long."""
    audio_s = max(audio_s, LEAST_S)
    return EngineCost(name, cpu_s / audio_s, min(cpu_s, wall_s) / audio_s, n_slots, in_process)
