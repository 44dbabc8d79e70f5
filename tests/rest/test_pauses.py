"""Cutting at pauses, told in seconds of speech and silence."""

from hypothesis import given
from hypothesis import strategies as st

from talkover.rest.pauses import MAX_PIECE_FRAMES, PADDING_FRAMES, PAUSE_FRAMES, Span, speech_spans


def frames(*stretches: tuple[float, float]) -> list[float]:
    """Probabilities of (seconds, probability) stretches at 32 ms a frame."""
    return [probability for seconds, probability in stretches for _ in range(round(seconds / 0.032))]


def test_silence_holds_no_utterance() -> None:
    assert speech_spans([]) == ()
    assert speech_spans(frames((5, 0.02))) == ()


def test_a_click_is_no_utterance() -> None:
    assert speech_spans([0.0] * 30 + [0.9] * 2 + [0.0] * 30) == ()


def test_an_utterance_keeps_a_margin_on_both_sides() -> None:
    (span,) = speech_spans([0.0] * 50 + [0.9] * 40 + [0.0] * 50)
    assert span == Span(50 - PADDING_FRAMES, 90 + PADDING_FRAMES)


def test_margins_end_with_the_recording() -> None:
    assert speech_spans([0.9] * 20) == (Span(0, 20),)


def test_a_breath_does_not_cut_and_a_pause_does() -> None:
    assert len(speech_spans(frames((1, 0.9), (0.4, 0.0), (1, 0.9)))) == 1
    assert len(speech_spans(frames((1, 0.9), (0.7, 0.0), (1, 0.9)))) == 2


def test_margins_of_neighbours_do_not_overlap() -> None:
    first, second = speech_spans([0.9] * 30 + [0.0] * (PAUSE_FRAMES + 1) + [0.9] * 30)
    assert first.end <= second.start


def test_long_speech_is_cut_where_voice_is_least_likely() -> None:
    speech = [0.9] * (MAX_PIECE_FRAMES + 100)
    dip = MAX_PIECE_FRAMES - 40
    speech[dip] = 0.4
    first, second = speech_spans(speech)
    assert first == Span(0, dip)
    assert second == Span(dip, len(speech))


@given(st.lists(st.floats(0, 1), max_size=3000))
def test_pieces_are_ordered_disjoint_bounded_and_hold_all_lasting_voice(probabilities: list[float]) -> None:
    spans = speech_spans(probabilities)
    end = 0
    for span in spans:
        assert end <= span.start < span.end <= len(probabilities)
        assert span.end - span.start <= MAX_PIECE_FRAMES
        end = span.end
    covered = {index for span in spans for index in range(span.start, span.end)}
    for index in range(len(probabilities) - 3):
        if all(probability >= 0.35 for probability in probabilities[index : index + 3]):
            assert index in covered
