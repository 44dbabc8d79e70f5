"""The embedded English recogniser: pocketsphinx in worker processes, with a language model made for the documents.

No download, key or GPU. It knows the words of the knowledge folder and of everyday requests well, and twenty thousand
frequent English words a little, so that other speech is not forced into the documents. English only: other languages
are decoded as if they were English and reported as `en`.
"""

from __future__ import annotations

import os
import sys
import time

from talkover.asr.language_model import LanguageModelFiles, ensure_language_model
from talkover.asr.readable import readable_sentence, readable_words
from talkover.asr.worker_pool import WorkerPool
from talkover.audio import samples_to_pcm16
from talkover.config import Settings
from talkover.engines import EngineFailed, EngineUnavailable, Hypothesis, IsStale
from talkover.messages import Samples
from talkover.resources import cache_folder, knowledge_folder

MAX_DEFAULT_WORKERS = 4
READY_TIMEOUT_S = 60.0
STALE_POLL_S = 0.02
LANGUAGE = "en"


def create(settings: Settings) -> PocketsphinxEngine:
    """The engine for the registry: finds or builds the language model, and starts the workers loading it.

    Raises EngineUnavailable.
    """
    try:
        files = ensure_language_model(knowledge_folder(settings.knowledge.path), cache_folder() / "asr")
    except OSError as error:
        message = f"asr: the cache folder cannot be written ({error}): set XDG_CACHE_HOME to a writable folder"
        raise EngineUnavailable(message) from error
    workers = settings.asr.workers or min(MAX_DEFAULT_WORKERS, os.cpu_count() or 1)
    return PocketsphinxEngine(files, workers, settings.asr.timeout_s)


class PocketsphinxEngine:
    """Any number of utterances side by side; each worker decodes 4 at once, further ones catch up afterwards."""

    name = "pocketsphinx"

    def __init__(self, files: LanguageModelFiles, workers: int, timeout_s: float) -> None:
        self._files = files
        self._timeout_s = timeout_s
        self.slots = workers
        command = (sys.executable, "-m", "talkover.asr.pocketsphinx_worker", str(files.folder))
        self.pool = WorkerPool(command, workers)

    def warmup(self) -> None:
        """Wait until every worker has loaded its models. Raises EngineUnavailable."""
        if not self.pool.wait_ready(READY_TIMEOUT_S):
            raise EngineUnavailable("asr: the recogniser's worker processes do not start: talkover doctor")

    def stream(self, language: str | None = None, hint: str = "") -> PocketsphinxStream:
        """One utterance. `language` and `hint` have no effect: the words to expect come from the documents."""
        return PocketsphinxStream(self.pool, self._files, self._timeout_s)

    def close(self) -> None:
        """End the workers; no process or thread is left. Utterances still open fail."""
        self.pool.close()


class PocketsphinxStream:
    """One utterance; implements `AsrStream`."""

    def __init__(self, pool: WorkerPool, files: LanguageModelFiles, timeout_s: float) -> None:
        self._pool = pool
        self._spellings = files.spellings
        self._timeout_s = timeout_s
        self._utterance = pool.begin()
        self._returned: Hypothesis | None = None

    def feed(self, samples: Samples) -> Hypothesis | None:
        """Take (n,) float32 at 16 kHz; the newest partial when it changed. Never waits."""
        if samples.size:
            self._pool.feed(self._utterance, samples_to_pcm16(samples))
        return self.partial()

    def partial(self) -> Hypothesis | None:
        utterance = self._utterance
        # words before stable_words: they are set together, and a newer count may only be a larger one
        words, stable_words = utterance.words, utterance.stable_words
        text = readable_words(words, self._spellings)
        stable = len(readable_words(words[:stable_words], self._spellings))
        newest = Hypothesis(text, stable, None, LANGUAGE)
        if not text or newest == self._returned:
            return None
        self._returned = newest
        return newest

    def finish(self, is_stale: IsStale) -> Hypothesis:
        """The final hypothesis; "" for no speech, or once stale. Raises EngineFailed, also when it takes too long."""
        self._pool.finish(self._utterance)
        deadline_s = time.monotonic() + self._timeout_s
        while not self._pool.wait_final(self._utterance, STALE_POLL_S):
            if is_stale():
                self.close()
                return Hypothesis("", language=LANGUAGE)
            if time.monotonic() > deadline_s:
                self.close()
                raise EngineFailed(f"asr: no final transcript after {self._timeout_s:g} s")
        final = self._utterance.final
        if final is None:
            raise EngineFailed(f"asr: {self._utterance.error}")
        text = readable_sentence(final.words, self._spellings)
        return Hypothesis(text, len(text), final.confidence, LANGUAGE)

    def close(self) -> None:
        self._pool.drop(self._utterance)
