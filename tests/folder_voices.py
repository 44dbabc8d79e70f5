"""A fake engine with voices that come and go, kept in a real folder; it speaks all of them with the same tone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fakes import ToneTts
from talkover.engines import IsStale, NewVoice, SpeechChunk, Voice
from talkover.messages import Samples, VoiceSettings
from talkover.tts.voice_folder import ClonedVoice, VoiceFolder


class FolderTts(ToneTts):
    def __init__(self, folder: VoiceFolder) -> None:
        super().__init__()
        self.folder = folder
        self.voice_library = self

    def voices(self) -> tuple[Voice, ...]:
        return (*super().voices(), *map(self._listed, self.folder.voices()))

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        voice_id = self.aliases().get(settings.voice, settings.voice)
        if voice_id != "tone" and self.folder.get(voice_id) is None:
            raise ValueError(f"voice must be one of those listed, got {voice_id!r}")
        return super().synthesize(text, settings, is_stale)

    def add_voice(self, voice: NewVoice) -> Voice:
        return self._listed(self.folder.add(voice))

    def remove_voice(self, voice_id: str) -> None:
        self.folder.remove(voice_id)

    def removable(self) -> frozenset[str]:
        return frozenset(voice.id for voice in self.folder.voices() if voice.is_own)

    def without_transcript(self) -> Mapping[str, tuple[Samples, int]]:
        clips = {voice.id: self.folder.clip(voice) for voice in self.folder.voices() if not voice.transcript}
        return {voice_id: (clip.samples, clip.rate_hz) for voice_id, clip in clips.items()}

    def set_transcript(self, voice_id: str, transcript: str) -> None:
        self.folder.set_transcript(voice_id, transcript)

    @staticmethod
    def _listed(voice: ClonedVoice) -> Voice:
        return Voice(voice.id, voice.name, voice.language, "fake")
