"""The speech synthesis engine: texts of many sessions in, speech with word times out, by one set of models.

A text is cut into pieces as the model was trained on them; the pieces of all texts go through one scheduler. What is
said in another voice or language is a matter of the prompt that is put before it (`voices.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from talkover.config import Settings
from talkover.engines import EngineFailed, EngineUnavailable, IsStale, SpeechChunk, Voice, VoiceLibrary
from talkover.messages import VoiceSettings, Word
from talkover.models import find_model
from talkover.models.catalogue import DEFAULT_MODELS
from talkover.resources import cache_folder, data_folder, resource
from talkover.tts.cosyvoice2.decoding import Decoding, UtteranceDecoding
from talkover.tts.cosyvoice2.language_model import LanguageModel
from talkover.tts.cosyvoice2.loading import SpeechModels, load_models
from talkover.tts.cosyvoice2.prompt_features import FeatureStore, PromptFeatures
from talkover.tts.cosyvoice2.scheduler import PiecePlan, Scheduler, Sound
from talkover.tts.cosyvoice2.speed import SpeedVocoder
from talkover.tts.cosyvoice2.streaming import IncrementalSound, aligned_prompt, first_block_ids
from talkover.tts.cosyvoice2.text_frontend import TracedText, pieces
from talkover.tts.cosyvoice2.trained_speakers import SPEAKERS_FILE, load_speakers
from talkover.tts.cosyvoice2.vocoder import SeamlessVocoder
from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt
from talkover.tts.cosyvoice2.voices import ENGINE_NAME, CosyVoices
from talkover.tts.phrase_cache import PhraseCache
from talkover.tts.pronunciation import speak_as_pronounced
from talkover.tts.speech_marks import SPEECH_MARKS
from talkover.tts.voice_folder import VoiceFolder
from talkover.tts.voice_pace import VoicePaces
from talkover.tts.word_alignment import WordAligner

SLOWEST_SPEED, FASTEST_SPEED = 0.5, 2.0
"""beyond these the vocoder gets frames unlike any it was trained on"""
_WARMUP_TEXTS = ("你好，很高兴认识你。", "Hello, nice to meet you.")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine is run."""

    max_utterances: int = 16
    """texts in the language model at the same time; more wait"""
    context_s: float | None = None
    """how much of its own speech an utterance sees in the flow; none: 30 s"""
    instruction: str = ""
    """how to speak, in words; empty: as each voice does"""


class CosyVoice2Engine:
    """`TtsEngine` for any number of sessions."""

    name = ENGINE_NAME
    slots = 1
    """one thread; what it does for several in one step counts as done for one"""
    speech_marks = frozenset(SPEECH_MARKS)

    def __init__(self, models: SpeechModels, voices: CosyVoices, options: EngineOptions) -> None:
        self._models = models
        self._voices = voices
        self.options = options
        if options.context_s is not None:
            models.flow.limit_context(options.context_s)
        self._vocoder = SeamlessVocoder(models.hift, early=True)
        self.lm = LanguageModel(models.llm, models.config.llm, models.config.sampling, options.max_utterances)
        self.scheduler = Scheduler(self.lm)
        self._phrases = PhraseCache()
        self._paces = VoicePaces()
        self._first_ids: int | None = None
        """speech ids in a first block; none until the speed of this machine is known"""

    @property
    def voice_library(self) -> VoiceLibrary:
        return self._voices

    def warmup(self) -> None:
        """Speak with the first voice, twice: cold for the models, and warm to learn how fast this machine is."""
        if not self._voices.voices():
            raise EngineUnavailable(
                "tts engine 'cosyvoice2': there is no voice; put NAME.wav and NAME.txt into ref_audio"
            )
        try:
            for text in _WARMUP_TEXTS:
                for _ in self.speak(text, VoiceSettings("default"), _never):
                    pass
        except (EngineFailed, ValueError) as error:
            raise EngineUnavailable(f"tts engine 'cosyvoice2': {error}") from error
        pace = self.scheduler.pace
        self._first_ids = first_block_ids(pace.ids_per_s, pace.block_s, self._vocoder.lag_frames)

    def close(self) -> None:
        self.scheduler.close()

    def voices(self) -> tuple[Voice, ...]:
        return self._voices.voices()

    def aliases(self) -> Mapping[str, str]:
        return self._voices.aliases()

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        """See `TtsEngine`. A text without anything to pronounce gives no audio. Speed is held between 0.5 and 2."""
        if not self._voices.content_key(settings.voice):
            known = ", ".join([*(voice.id for voice in self.voices()), *self.aliases()])
            raise ValueError(f"voice must be one of {known}, got {settings.voice!r}")
        instruction = settings.instruction or self.options.instruction
        how = (self._voices.content_key(settings.voice), settings.speed, instruction)

        def speak(spoken: str) -> Iterator[SpeechChunk]:
            return self.speak(spoken, settings, is_stale)

        def synthesize() -> Iterator[SpeechChunk]:
            return speak_as_pronounced(text, self._voices.pronunciation(settings.voice), speak)

        return self._phrases.speak(text, how, synthesize, is_stale)

    def speak(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        """`text` made anew, without the pronunciation of the voice and without the cache of phrases."""
        prompt = self._voices.prompt(settings.voice, text, settings.instruction or self.options.instruction)
        speed = min(max(settings.speed, SLOWEST_SPEED), FASTEST_SPEED)
        cut = pieces(text, lambda part: len(self._models.tokenizer.encode(part)))
        plans = [self._plan(piece, prompt, speed) for piece in cut]
        speech = self.scheduler.submit(plans, speed)
        pace = self._paces.of(prompt.key) / speed
        aligners = [WordAligner(piece.text, pace) for piece in cut]
        begin_s = made_s = 0.0  # where the piece begins in the audio, and how much of it there is
        for made in self.scheduler.listen(speech, is_stale):
            words = aligners[made.piece].feed(made.samples, made.total_s, last=made.last)
            made_s += made.samples.size / self._models.config.sample_rate_hz
            given = tuple(_in_text(word, cut[made.piece], begin_s) for word in words)
            if made.samples.size or given:
                yield SpeechChunk(made.samples, given)
            if made.last:
                begin_s = made_s
                self._paces.learn(prompt.key, aligners[made.piece].pace * speed)

    def _plan(self, piece: TracedText, prompt: VoicePrompt, speed: float) -> PiecePlan:
        ids = self._models.tokenizer.encode(piece.text)
        seed = _seed(ids, prompt)
        flow_prompt = prompt if self._first_ids is None else aligned_prompt(prompt, self._first_ids)
        vocoder = SpeedVocoder(self._vocoder, speed)

        def decoding() -> Decoding:
            return UtteranceDecoding(self._models.config.llm, ids, prompt.text_ids, prompt.lm_speech_ids)

        def sound() -> Sound:
            return IncrementalSound(self._models.flow, vocoder, flow_prompt, seed=seed)

        return PiecePlan(decoding, sound, seed)


def create(settings: Settings) -> CosyVoice2Engine:
    """The engine for the registry. Raises EngineUnavailable."""
    tts = settings.tts
    folder = find_model(tts.model or DEFAULT_MODELS[ENGINE_NAME], settings.models)
    models = load_models(folder, tts.device, tts.precision)
    own = tts.voice_folder or data_folder() / "voices"
    features = PromptFeatures(folder, FeatureStore(cache_folder() / "voices"))
    speakers = load_speakers(folder / SPEAKERS_FILE)
    clips = VoiceFolder(resource("ref_audio"), own)
    voices = CosyVoices(clips, features, models.tokenizer.encode, speakers)
    return CosyVoice2Engine(models, voices, EngineOptions(tts.max_utterances, tts.context_s, tts.instruction))


def _in_text(word: Word, piece: TracedText, begin_s: float) -> Word:
    """A word of a piece as one of the whole text."""
    start, end = piece.origin(word.start, word.end)
    return Word(start, end, word.start_ms + 1000 * begin_s, word.end_ms + 1000 * begin_s)


def _seed(ids: Sequence[int], prompt: VoicePrompt) -> int:
    """The same text in the same voice sounds the same, whoever else is speaking."""
    digest = hashlib.sha256(f"{list(ids)} {prompt.text_ids} {prompt.key}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def _never() -> bool:
    return False
