"""The voices of the engine, and for each text the prompt that makes the model speak it as that voice.

A clip with a transcript in the language of the text is continued (zero-shot). In another language, or without a
transcript, the model gets the sound of the voice alone (cross-lingual), and with an instruction that instead of the
transcript. What a clip sounds like is computed once and shared by all three.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import torch

from talkover.engines import NewVoice, Voice, VoiceRefused
from talkover.messages import Samples
from talkover.tts.cosyvoice2.prompt_features import PromptFeatures
from talkover.tts.cosyvoice2.text_frontend import normalized
from talkover.tts.cosyvoice2.tokenizer import END_OF_PROMPT
from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt, voice_prompt
from talkover.tts.language import base_language, language_of
from talkover.tts.voice_clip import VoiceClip
from talkover.tts.voice_folder import ClonedVoice, VoiceFolder
from talkover.tts.voices import VOICE_ALIASES

log = logging.getLogger(__name__)

ENGINE_NAME = "cosyvoice2"
MAX_PROMPTS = 64
"""voices whose prompt stays in memory, some 200 kB each"""

Encode = Callable[[str], Sequence[int]]


class CosyVoices:
    """`VoiceLibrary` over a folder of clips and the speakers of `spk2info.pt`. Called from many threads."""

    def __init__(
        self,
        folder: VoiceFolder,
        features: PromptFeatures,
        encode: Encode,
        speakers: Mapping[str, VoicePrompt] | None = None,
    ) -> None:
        """`encode`: text to ids, marks included. `speakers`: prompts that need no clip, by voice id."""
        self._folder = folder
        self._features = features
        self._encode = encode
        self._speakers = dict(speakers or {})
        self._lock = threading.Lock()
        self._hearing = threading.Lock()
        """no clip is heard twice, and who speaks with a known voice does not wait for a new one"""
        self._prompts: OrderedDict[str, VoicePrompt] = OrderedDict()
        """content key of a voice -> its zero-shot prompt"""
        for problem in folder.problems:
            log.warning("no voice: %s", problem)

    def voices(self) -> tuple[Voice, ...]:
        cloned = [_listed(voice) for voice in self._folder.voices()]
        return (*cloned, *(Voice(name, name, "und", ENGINE_NAME) for name in self._speakers))

    def aliases(self) -> Mapping[str, str]:
        """`default`, and the names that stock clients send, are the first voice there is; empty without any."""
        ids = [voice.id for voice in self.voices()]
        return {name: ids[0] for name in VOICE_ALIASES if name not in ids} if ids else {}

    def prompt(self, voice_id: str, text: str, instruction: str = "") -> VoicePrompt:
        """What to put before `text`. `instruction`: how to speak, in words; a voice may have one of its own.

        Raises ValueError for an unknown voice, and for one whose clip cannot be used any more.
        """
        voice_id = self.aliases().get(voice_id, voice_id)
        voice = self._folder.get(voice_id)
        if voice is None:
            return self._trained(voice_id, instruction)
        prompt = self._zero_shot(voice)
        if instruction := instruction or voice.facts.instruction:
            return prompt.instructed(self._instruction_ids(instruction))
        if not voice.transcript or language_of(text, voice.language) != base_language(voice.language):
            return prompt.cross_lingual()
        return prompt

    def pronunciation(self, voice_id: str) -> Mapping[str, str]:
        """What this voice says for what is written; empty for an unknown one."""
        voice = self._folder.get(self.aliases().get(voice_id, voice_id))
        return {} if voice is None else voice.facts.pronunciation

    def content_key(self, voice_id: str) -> str:
        """Changes whenever `voice_id` begins to sound different; "" for an unknown voice."""
        voice_id = self.aliases().get(voice_id, voice_id)
        voice = self._folder.get(voice_id)
        if voice is not None:
            return voice.content_key
        return self._speakers[voice_id].key if voice_id in self._speakers else ""

    # -------------------------------------------------------------------------------------------- VoiceLibrary

    def add_voice(self, voice: NewVoice) -> Voice:
        if voice.id in self._speakers or voice.id == "default":
            raise VoiceRefused("exists", f"the name {voice.id!r} is taken: choose another id")
        added = self._folder.add(voice)
        try:
            self._zero_shot(added)  # the first who speaks with it should not wait for this
        except ValueError as error:
            self._folder.remove(added.id)
            raise VoiceRefused("invalid", str(error), "file") from error
        return _listed(added)

    def remove_voice(self, voice_id: str) -> None:
        known = self._folder.get(voice_id)
        clip = None if known is None else self._clip(known)
        self._folder.remove(voice_id)
        if clip is not None:
            self._features.forget(clip)

    def removable(self) -> frozenset[str]:
        return frozenset(voice.id for voice in self._folder.voices() if voice.is_own)

    def without_transcript(self) -> Mapping[str, tuple[Samples, int]]:
        voices = [voice for voice in self._folder.voices() if not voice.transcript]
        clips = [(voice.id, self._clip(voice)) for voice in voices]
        return {voice_id: (clip.samples, clip.rate_hz) for voice_id, clip in clips if clip is not None}

    def set_transcript(self, voice_id: str, transcript: str) -> None:
        self._folder.set_transcript(voice_id, transcript)

    def _clip(self, voice: ClonedVoice) -> VoiceClip | None:
        try:
            return self._folder.clip(voice)
        except VoiceRefused:  # somebody deleted or changed the file meanwhile
            return None

    # ------------------------------------------------------------------------------------------------ prompts

    def _zero_shot(self, voice: ClonedVoice) -> VoicePrompt:
        known = self._remembered(voice)
        if known is None:
            with self._hearing:
                known = self._remembered(voice) or self._heard(voice)
                with self._lock:
                    self._prompts[voice.content_key] = known
                    if len(self._prompts) > MAX_PROMPTS:
                        self._prompts.popitem(last=False)
        return known

    def _remembered(self, voice: ClonedVoice) -> VoicePrompt | None:
        with self._lock:
            known = self._prompts.get(voice.content_key)
            if known is not None:
                self._prompts.move_to_end(voice.content_key)
            return known

    def _heard(self, voice: ClonedVoice) -> VoicePrompt:
        try:
            heard = self._features.of(self._folder.clip(voice))
        except VoiceRefused as error:
            raise ValueError(str(error)) from error
        text_ids = self._encode(normalized(voice.transcript).text) if voice.transcript else ()
        return voice_prompt(text_ids, heard.speech_ids, torch.from_numpy(heard.mel), torch.from_numpy(heard.speaker))

    def _trained(self, voice_id: str, instruction: str) -> VoicePrompt:
        prompt = self._speakers.get(voice_id)
        if prompt is None:
            known = ", ".join(["default", *(voice.id for voice in self.voices())])
            raise ValueError(f"voice must be one of {known}, got {voice_id!r}")
        return prompt.instructed(self._instruction_ids(instruction)) if instruction else prompt

    def _instruction_ids(self, instruction: str) -> Sequence[int]:
        """Ids of an instruction as it is written, which the end mark closes."""
        return self._encode(instruction.replace(END_OF_PROMPT, "") + END_OF_PROMPT)


def _listed(voice: ClonedVoice) -> Voice:
    return Voice(voice.id, voice.name, voice.language, ENGINE_NAME, voice.facts.gender)
