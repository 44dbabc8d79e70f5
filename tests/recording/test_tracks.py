"""Where sound lies in a recording: the user's as it came, the agent's as it was heard."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.audio import samples_to_pcm16
from talkover.messages import AudioFormat
from talkover.pipeline.ledger import Playback
from talkover.recording.agent_track import TOLERANCE, AgentTrack
from talkover.recording.user_track import UserTrack
from talkover.recording.wire_audio import RATE_HZ, Pcm

MS = RATE_HZ // 1000
END = 60_000 * MS


def counting(size: int, first: int = 1) -> Pcm:
    """Samples that tell their place."""
    return np.arange(first, first + size).astype(np.int16)


# ---------------------------------------------------------------------------------------------------------- the user


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 2000), min_size=1, max_size=30),
    jitter_ms=st.lists(st.integers(0, 400), min_size=30, max_size=30),
)
def test_what_the_user_said_is_there_sample_by_sample_whatever_the_jitter(cuts: list[int], jitter_ms: list[int]):
    track = UserTrack(AudioFormat())
    sound = counting(sum(cuts))
    data, sent = sound.tobytes(), 0
    for cut, late_ms in zip(cuts, jitter_ms, strict=False):
        arrives = 10_000 * MS + sent + cut + late_ms * MS
        track.received(data[2 * sent : 2 * (sent + cut)], arrives)
        sent += cut
    channel = track.take(20_000 * MS)
    begin = int(np.flatnonzero(channel)[0])
    assert np.array_equal(channel[begin : begin + sound.size], sound)
    assert np.count_nonzero(channel) == np.count_nonzero(sound)
    assert 0 <= begin - 10_000 * MS <= 400 * MS


@settings(max_examples=30, deadline=None)
@given(blocks=st.lists(st.integers(0, 5000), min_size=1, max_size=20))
def test_it_does_not_matter_how_it_is_taken(blocks: list[int]):
    track = UserTrack(AudioFormat())
    sound = counting(20_000)
    track.received(sound.tobytes(), 25_000)
    taken, until = [], 0
    for block in [*blocks, 200_000]:
        until += block
        taken.append(track.take(until))
    channel = np.concatenate(taken)
    assert np.array_equal(channel[5_000:25_000], sound)


def test_a_pause_of_the_microphone_is_silence_and_what_was_said_keeps_its_place():
    track = UserTrack(AudioFormat())
    track.received(counting(480).tobytes(), 480)
    track.received(counting(480, 1000).tobytes(), 3000 * MS)
    channel = track.take(3000 * MS)
    assert np.array_equal(channel[:480], counting(480))
    assert not channel[480 : 3000 * MS - 480].any()
    assert np.array_equal(channel[-480:], counting(480, 1000))
    assert track.clock_at(10.0) == 240
    assert track.clock_at(25.0) == 3000 * MS - 480 + 120


def test_samples_cut_in_two_and_other_formats():
    track = UserTrack(AudioFormat())
    data = counting(100).tobytes()
    track.received(data[:33], 5_000)
    track.received(data[33:], 5_000)
    assert np.array_equal(track.take(20_000)[4_984:5_084], counting(100))
    tone = (0.5 * np.sin(np.arange(8000) * 0.2)).astype(np.float32)
    telephone = UserTrack(AudioFormat("pcm", 8000))
    telephone.received(samples_to_pcm16(tone), 24_000)
    telephone.use_format(AudioFormat("pcmu", 8000))
    channel = telephone.take(30_000)
    heard = channel[:24_000].astype(np.float32) / 32768
    assert np.abs(np.interp(np.arange(24_000) / 3, np.arange(8000), tone) - heard)[200:-200].max() < 0.02


# --------------------------------------------------------------------------------------------------------- the agent

ITEMS = ("a", "b", "c")
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("sent"), st.sampled_from(ITEMS), st.integers(20, 900)),
        st.tuples(st.just("wait"), st.just(""), st.integers(0, 900)),
        st.tuples(st.just("pause"), st.just(""), st.integers(0, 300)),
        st.tuples(st.just("resume"), st.just(""), st.integers(0, 300)),
        st.tuples(st.just("report"), st.sampled_from(ITEMS), st.integers(-300, 300)),
        st.tuples(st.just("stop"), st.just(""), st.integers(0, 300)),
        st.tuples(st.just("truncate"), st.sampled_from(ITEMS), st.integers(-300, 300)),
        st.tuples(st.just("take"), st.just(""), st.just(0)),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(moves=MOVES)
def test_the_channel_holds_what_the_ledger_says_was_heard_once_and_in_order(moves: list[tuple[str, str, int]]):
    """Beside the session's own model of playback: the same events, the same sound heard of every item."""
    track, playback = AgentTrack(), Playback()
    sent: dict[str, int] = {}
    cut: dict[str, float] = {}
    now_ms, until = 1000, 0
    channels: list[Pcm] = []
    for kind, item, value in moves:
        now_s = now_ms / 1000
        match kind:
            case "sent":
                first = 1 + sent.get(item, 0) % 30_000
                track.sent(item, counting(value * MS, first), now_ms * MS)
                playback.sent(item, value, now_s)
                sent[item] = sent.get(item, 0) + value * MS
            case "pause" if playback.is_audible(now_s):
                playback.pause(now_s)
                track.paused(now_ms * MS)
            case "resume" if playback.is_paused:
                playback.resume(now_s)
                track.resumed(now_ms * MS)
            case "report" if item in sent:
                played_ms = max(0.0, playback.played_ms(item, now_s) + value)
                playback.reported(item, played_ms, False, now_s)
                track.reported(item, round(played_ms * MS), False, now_ms * MS)
            case "stop":
                for stopped in playback.stop(now_s):
                    cut[stopped] = playback.played_ms(stopped, now_s)
                    track.heard(stopped, round(cut[stopped] * MS))
            case "truncate" if item in sent:
                played_ms = min(max(0.0, playback.played_ms(item, now_s) + value), sent[item] / MS)
                playback.reported(item, played_ms, True, now_s)
                cut[item] = played_ms
                track.heard(item, round(played_ms * MS))
            case "take" if now_ms * MS - 10 * RATE_HZ > until:
                until = now_ms * MS - 10 * RATE_HZ
                channels.append(track.take(until))
            case _:
                pass
        now_ms += value if kind in ("wait", "pause", "resume", "stop") else 0
    if playback.is_paused:
        track.resumed(now_ms * MS)
    channels.append(track.take(END))
    channel = np.concatenate(channels)
    spans = sorted((span for item in sent for span in track.spans(item)), key=lambda span: span.start)
    assert all(before.start + before.size <= after.start for before, after in pairwise(spans))
    for item, size in sent.items():
        heard = min(size, round(cut[item] * MS)) if item in cut else size
        assert sum(span.size for span in track.spans(item)) == heard
        firsts = [(span.first, span.first + span.size) for span in track.spans(item)]
        assert [end for _, end in firsts[:-1]] == [begin for begin, _ in firsts[1:]]
    assert np.count_nonzero(channel) <= sum(span.size for span in spans)


def heard_at(track: AgentTrack, item: str) -> list[tuple[int, int, int]]:
    """(start, first, size) in ms."""
    return [(span.start // MS, span.first // MS, span.size // MS) for span in track.spans(item)]


def test_audio_queues_behind_what_still_plays_and_begins_at_once_in_silence():
    track = AgentTrack()
    track.sent("a", counting(500 * MS), 1000 * MS)
    track.sent("a", counting(500 * MS), 1100 * MS)
    track.sent("b", counting(100 * MS), 5000 * MS)
    track.take(END)
    assert heard_at(track, "a") == [(1000, 0, 1000)]
    assert heard_at(track, "b") == [(5000, 0, 100)]


def test_a_pause_holds_it_at_the_sample_that_the_client_names():
    track = AgentTrack()
    track.sent("a", counting(1000 * MS), 1000 * MS)
    track.paused(1400 * MS)
    track.reported("a", 350 * MS, False, 1450 * MS)
    track.resumed(3000 * MS)
    track.take(END)
    assert heard_at(track, "a") == [(1000, 0, 350), (3000, 350, 650)]


def test_an_interruption_ends_it_where_the_client_stopped_also_when_that_was_later_than_thought():
    track = AgentTrack()
    track.sent("a", counting(2000 * MS), 1000 * MS)
    track.heard("a", 500 * MS)
    track.heard("a", 560 * MS)
    track.sent("b", counting(100 * MS), 1510 * MS)
    track.take(END)
    assert heard_at(track, "a") == [(1000, 0, 560)]
    assert heard_at(track, "b") == [(1560, 0, 100)]


def test_the_first_report_moves_the_whole_answer_and_jitter_moves_nothing():
    track = AgentTrack()
    track.sent("a", counting(2000 * MS), 1000 * MS)
    track.reported("a", 100 * MS, False, 1250 * MS)
    track.reported("a", 350 * MS, False, 1250 * MS + 250 * MS + TOLERANCE)
    track.take(END)
    assert heard_at(track, "a") == [(1150, 0, 2000)]


def test_audio_that_came_too_late_leaves_a_hole_where_the_client_had_none():
    track = AgentTrack()
    track.sent("a", counting(2000 * MS), 1000 * MS)
    track.reported("a", 250 * MS, False, 1250 * MS)
    track.reported("a", 400 * MS, False, 1600 * MS)
    track.take(END)
    assert heard_at(track, "a") == [(1000, 0, 250), (1450, 250, 1750)]


@pytest.mark.parametrize("taken_ms", [0, 1200])
def test_what_is_still_unheard_at_the_end_of_the_call_is_not_recorded(taken_ms: int):
    track = AgentTrack()
    track.sent("a", counting(2000 * MS), 1000 * MS)
    track.take(taken_ms * MS)
    track.take(1500 * MS)
    assert heard_at(track, "a") == [(1000, 0, 500)]
    assert track.sent_samples("a") == 2000 * MS
