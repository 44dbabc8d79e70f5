"""The heard ledger: audio positions to words, and the model of the client's playback."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talkover.messages import Word
from talkover.pipeline.ledger import HeardLedger, Playback


def ledger_of(*segments: str, ms_per_char: float = 50, with_words: bool = True, complete: bool = True) -> HeardLedger:
    ledger = HeardLedger()
    for index, text in enumerate(segments):
        ledger.begin_segment(text)
        words, position = [], 0
        for part in text.split(" "):
            if part:
                words.append(
                    Word(position, position + len(part), position * ms_per_char, (position + len(part)) * ms_per_char)
                )
            position += len(part) + 1
        last = index == len(segments) - 1
        ledger.add_audio(len(text) * ms_per_char, words if with_words else (), segment_end=complete or not last)
    return ledger


def test_words_count_once_half_of_them_has_sounded():
    ledger = ledger_of("Hello brave new world.")
    assert ledger.heard_text(0) == ""
    assert ledger.heard_text(100) == ""
    assert ledger.heard_text(130) == "Hello"
    assert ledger.heard_text(500) == "Hello brave"
    assert ledger.heard_text(10_000) == "Hello brave new world."


def test_without_word_times_text_is_proportional_to_audio():
    ledger = ledger_of("one two three four", with_words=False)
    assert ledger.heard_text(9 * 50) == "one two"
    assert ledger.heard_text(18 * 50) == "one two three four"


def test_segments_are_aligned_one_by_one():
    ledger = ledger_of("First part.", " Second part.")
    assert ledger.heard_text(11 * 50) == "First part."
    assert ledger.heard_text(11 * 50 + 8 * 50) == "First part. Second"


def test_a_segment_cut_short_is_not_taken_as_spoken_to_its_end():
    ledger = HeardLedger()
    ledger.begin_segment("a rather long segment that will be cut")
    ledger.add_audio(400)
    assert ledger.heard_text(400) == "a rather"
    ledger = HeardLedger()
    ledger.begin_segment("only two words known so far")
    ledger.add_audio(400, [Word(0, 4, 0, 200), Word(5, 8, 200, 400)])
    assert ledger.heard_text(400) == "only two"


def test_characters_are_the_words_of_chinese():
    ledger = ledger_of("今天天气很好", with_words=False)
    assert ledger.heard_text(150) == "今天天"


SEGMENTS = st.lists(st.text("ab cd,。你 ", min_size=1, max_size=12), min_size=1, max_size=5)


@given(SEGMENTS, st.booleans(), st.booleans(), st.lists(st.floats(0, 5000), max_size=8))
def test_hearing_more_never_means_fewer_words(
    segments: list[str], with_words: bool, complete: bool, positions: list[float]
):
    ledger = ledger_of(*segments, with_words=with_words, complete=complete)
    heard = [ledger.heard_chars(position) for position in sorted(positions)]
    assert heard == sorted(heard)
    assert all(0 <= chars <= len(ledger.text) for chars in heard)
    if complete:
        assert ledger.heard_chars(ledger.audio_ms) == len(ledger.text)


def test_playback_runs_in_real_time_from_the_first_audio():
    playback = Playback()
    playback.sent("a", 1000, now_s=10)
    assert playback.played_ms("a", 10.4) == 400 or abs(playback.played_ms("a", 10.4) - 400) < 1e-6
    assert playback.is_audible(10.9)
    assert not playback.is_audible(11.1)
    assert playback.played_ms("a", 20) == 1000


def test_audio_queues_behind_audio_still_playing():
    playback = Playback()
    playback.sent("a", 1000, now_s=0)
    playback.sent("b", 1000, now_s=0.1)
    assert playback.played_ms("b", 1.0) == 0
    assert abs(playback.played_ms("b", 1.5) - 500) < 1e-6


def test_an_underrun_delays_what_comes_after():
    playback = Playback()
    playback.sent("a", 200, now_s=0)
    playback.sent("a", 200, now_s=1)
    assert abs(playback.played_ms("a", 1.1) - 300) < 1e-6


def test_stop_freezes_what_was_heard():
    playback = Playback()
    playback.sent("a", 1000, now_s=0)
    playback.sent("b", 1000, now_s=0)
    assert playback.stop(0.25) == ["a", "b"]
    assert (playback.played_ms("a", 9), playback.played_ms("b", 9)) == (250, 0)
    assert not playback.is_audible(0.3)


def test_a_report_moves_the_estimate():
    playback = Playback()
    playback.sent("a", 1000, now_s=0)
    playback.reported("a", 100, False, now_s=0.5)  # the client began 400 ms late
    assert abs(playback.played_ms("a", 0.6) - 200) < 1e-6
    assert playback.is_audible(1.3)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sent", "report", "stop"]), st.sampled_from("ab"), st.floats(0, 2000), st.floats(0, 1)
        ),
        max_size=30,
    )
)
def test_played_stays_between_nothing_and_what_was_sent(moves: list[tuple[str, str, float, float]]):
    playback, now_s = Playback(), 0.0
    for move, item_id, amount_ms, later_s in moves:
        now_s += later_s
        if move == "sent":
            playback.sent(item_id, amount_ms, now_s)
        elif move == "report":
            playback.reported(item_id, amount_ms, False, now_s)
        else:
            playback.stop(now_s)
            assert not playback.is_audible(now_s)
        for known in "ab":
            assert 0 <= playback.played_ms(known, now_s) <= playback.sent_ms(known) + 1e-6
