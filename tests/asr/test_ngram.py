"""The trigram estimate: a proper distribution, and a file that says the same."""

import io
import math

import pytest

from talkover.asr.ngram import BEGIN, END, Sentence, SmoothedCounts, mixture, write_arpa

PHRASES = [Sentence(tuple(text.split())) for text in ("what is it", "what is that", "tell me a story", "stop")]
DOCUMENTS = [Sentence(("the", "story", "is", "long"), 2.0), Sentence(("what", "story"))]


def model():
    return mixture([(0.7, SmoothedCounts(PHRASES)), (0.3, SmoothedCounts(DOCUMENTS))])


def test_probabilities_sum_to_one_after_every_history() -> None:
    trigrams = model()
    vocabulary = [ngram[0] for ngram in trigrams.probabilities if len(ngram) == 1]
    histories = [(), (BEGIN,), ("what",), ("what", "is"), (BEGIN, "tell"), ("story", "stop")]
    for history in histories:
        total = math.fsum(10 ** trigrams.log10_probability(word, history) for word in vocabulary)
        assert total == pytest.approx(1, abs=1e-6), history


def test_what_was_seen_is_likelier_than_what_was_not() -> None:
    trigrams = model()
    assert trigrams.sentence_log10(("what", "is", "it")) > trigrams.sentence_log10(("it", "is", "what"))
    assert trigrams.sentence_log10(("stop", "what", "stop")) > -20


def test_weight_makes_a_sentence_likelier() -> None:
    light = mixture([(1, SmoothedCounts([Sentence(("stop",)), Sentence(("go",))]))])
    heavy = mixture([(1, SmoothedCounts([Sentence(("stop",), 5.0), Sentence(("go",))]))])
    assert heavy.sentence_log10(("stop",)) > light.sentence_log10(("stop",))


def test_sources_without_text_leave_their_share_to_the_others() -> None:
    alone = mixture([(0.2, SmoothedCounts(PHRASES))])
    beside_nothing = mixture([(0.2, SmoothedCounts(PHRASES)), (0.8, SmoothedCounts([]))])
    assert alone == beside_nothing


def test_no_text_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sentence"):
        mixture([(1.0, SmoothedCounts([]))])


def test_arpa_counts_and_values() -> None:
    out = io.StringIO()
    trigrams = model()
    write_arpa(trigrams, out)
    lines = out.getvalue().splitlines()
    unigrams = lines[lines.index("\\1-grams:") + 1 : lines.index("\\2-grams:") - 1]
    assert f"ngram 1={len(unigrams)}" in lines
    assert lines[-1] == "\\end\\"
    begin = next(line for line in unigrams if line.split()[1] == BEGIN)
    assert begin.startswith("-99")
    stop = next(line for line in unigrams if line.split()[1] == "stop")
    assert float(stop.split()[0]) == pytest.approx(trigrams.log10_probability("stop", ()), abs=1e-4)
    assert any(line.split()[1] == END for line in unigrams)
