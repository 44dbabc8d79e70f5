"""A folder of voices to clone: `<id>.wav`, what it says in `<id>.txt`, and what else is known of it in `<id>.toml`.

Two folders are looked at: the one that ships with Talkover, of which nothing is ever changed, and the user's own,
where voices are added and removed while the server runs. Ids name files, so they are limited to characters with which
no path can be made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from talkover.config import toml_tree
from talkover.engines import NewVoice, VoiceRefused
from talkover.sections.engines import Pronunciation
from talkover.sections.section import Section
from talkover.tts.language import language_of
from talkover.tts.voice_clip import MAX_CLIP_BYTES, ClipRefused, VoiceClip, clip_faults, read_clip, wav_bytes

log = logging.getLogger(__name__)

VOICE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
VOICE_ID_RULE = "1 to 40 of a-z, 0-9, - and _, not beginning with - or _"
MAX_OWN_VOICES = 200
MAX_TRANSCRIPT_CHARS = 1000
MAX_NAME_CHARS = 60
RETIRED_FOR_S = 900.0
"""how long a removed voice can still be spoken with by those who had it"""
_MAX_RETIRED = 32
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


class VoiceFacts(Section):
    """`<id>.toml`: everything is optional."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARS)] = ""
    """for people; empty: the id"""
    language: Annotated[str, Field(pattern=rf"^({_LANGUAGE.pattern})?$")] = ""
    """BCP 47 tag of what is spoken in the clip; empty: as the transcript's script tells"""
    gender: Annotated[str, Field(max_length=20)] = ""
    instruction: Annotated[str, Field(max_length=300)] = ""
    """how this voice always speaks, in words, e.g. 用开心的语气说"""
    licence: str = ""
    source: str = ""
    """who made the clip, and how"""
    pronunciation: Pronunciation = Field(default_factory=dict[str, str])
    """what this voice says for what is written, e.g. SQL = "sequel"; comes after that of the configuration"""


@dataclass(frozen=True, slots=True)
class ClonedVoice:
    """One voice of the folder."""

    id: str
    transcript: str
    """what the clip says; empty: not known, and the voice then speaks without the clip's text as context"""
    facts: VoiceFacts
    wav: Path
    is_own: bool
    """whether it may be removed"""
    content_key: str
    """hash of clip, transcript and facts: whatever is made with a voice is valid for this key only"""

    @property
    def name(self) -> str:
        return self.facts.name or self.id

    @property
    def language(self) -> str:
        """BCP 47 tag of the clip; `und` when nothing tells."""
        return self.facts.language or (language_of(self.transcript) if self.transcript else "und")


class VoiceFolder:
    """The voices there are. Called from many threads."""

    def __init__(self, shipped: Path | None, own: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads both folders, of which `own` need not exist; a voice of the own one hides a shipped one of its name.

        Clips that cannot be used are left out, and named in `problems`.
        """
        self._own = own
        self._clock = clock
        self._lock = threading.Lock()
        self._retired: OrderedDict[str, tuple[ClonedVoice, float]] = OrderedDict()
        self._voices: dict[str, ClonedVoice] = {}
        problems: list[str] = []
        for folder, is_own in ((shipped, False), (own, True)):
            if folder is not None and folder.is_dir():
                self._voices.update((voice.id, voice) for voice in _read_folder(folder, is_own, problems))
        self.problems = tuple(problems)

    def voices(self) -> tuple[ClonedVoice, ...]:
        with self._lock:
            return tuple(self._voices.values())

    def get(self, voice_id: str) -> ClonedVoice | None:
        """The voice, also one that was removed a short while ago; None when there is none."""
        with self._lock:
            found = self._voices.get(voice_id)
            if found is not None:
                return found
            self._forget_retired()
            retired = self._retired.get(voice_id)
            return None if retired is None else retired[0]

    def clip(self, voice: ClonedVoice) -> VoiceClip:
        """The recording of `voice`. Raises VoiceRefused when it is gone."""
        try:
            return read_clip(voice.wav.read_bytes())
        except OSError as error:
            raise VoiceRefused("unknown", f"voice {voice.id!r}: its clip cannot be read: {error.strerror}") from error
        except ClipRefused as error:
            raise VoiceRefused("invalid", f"voice {voice.id!r}: {error}", "file") from error

    def add(self, voice: NewVoice) -> ClonedVoice:
        """Write a new voice into the own folder. Raises VoiceRefused."""
        facts, transcript = _checked(voice)
        clip = VoiceClip(voice.samples, voice.rate_hz)
        if faults := clip_faults(clip):
            raise VoiceRefused("invalid", "; ".join(faults), "file")
        with self._lock:
            if voice.id in self._voices:
                raise VoiceRefused("exists", f"voice {voice.id!r} exists already: remove it first or choose another id")
            if sum(known.is_own for known in self._voices.values()) >= MAX_OWN_VOICES:
                raise VoiceRefused("full", f"there are {MAX_OWN_VOICES} voices already: remove one first")
            added = self._write(voice.id, wav_bytes(clip), facts, transcript)
            self._voices[added.id] = added
            self._retired.pop(added.id, None)
        return added

    def remove(self, voice_id: str) -> ClonedVoice:
        """Delete the files of an own voice; `get` still finds it for a while. Raises VoiceRefused."""
        with self._lock:
            voice = self._voices.get(voice_id)
            if voice is None:
                raise VoiceRefused("unknown", f"there is no voice {voice_id!r}")
            if not voice.is_own:
                raise VoiceRefused("shipped", f"voice {voice_id!r} ships with Talkover and cannot be removed")
            try:
                for suffix in (".wav", ".txt", ".toml"):  # the clip first: without it there is no voice
                    voice.wav.with_suffix(suffix).unlink(missing_ok=True)
            except OSError as error:
                raise VoiceRefused("shipped", f"voice {voice_id!r} cannot be removed: {error.strerror}") from error
            del self._voices[voice_id]
            self._retired[voice_id] = (voice, self._clock() + RETIRED_FOR_S)
            self._forget_retired()
        return voice

    def set_transcript(self, voice_id: str, transcript: str) -> ClonedVoice:
        """Remember what a clip says, on disk too where that is the own folder. Raises VoiceRefused."""
        text = _checked_transcript(transcript)
        with self._lock:
            voice = self._voices.get(voice_id)
            if voice is None:
                raise VoiceRefused("unknown", f"there is no voice {voice_id!r}")
            try:
                if voice.is_own:
                    _replace_file(voice.wav.with_suffix(".txt"), f"{text}\n".encode())
                key = _content_key(voice.wav.read_bytes(), text, voice.facts)
            except OSError as error:
                raise VoiceRefused("unknown", f"voice {voice_id!r}: its files are gone: {error.strerror}") from error
            changed = self._voices[voice_id] = replace(voice, transcript=text, content_key=key)
        return changed

    def _write(self, voice_id: str, wav: bytes, facts: VoiceFacts, transcript: str) -> ClonedVoice:
        path = self._own / f"{voice_id}.wav"
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in _written_facts(facts)]
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            if path.exists():  # of a clip that could not be used, or put there by somebody since the start
                raise VoiceRefused("exists", f"there is a file {path.name} in the folder of voices already")
            _replace_file(path.with_suffix(".toml"), ("\n".join(lines) + "\n").encode())
            _replace_file(path.with_suffix(".txt"), f"{transcript}\n".encode())
            _replace_file(path, wav)  # the clip last: with it the voice is complete
        except OSError as error:
            for suffix in (".txt", ".toml"):
                path.with_suffix(suffix).unlink(missing_ok=True)
            raise VoiceRefused("full", f"the folder of voices cannot be written: {error.strerror}") from error
        return ClonedVoice(voice_id, transcript, facts, path, True, _content_key(wav, transcript, facts))

    def _forget_retired(self) -> None:
        now_s = self._clock()
        while self._retired:
            _, until_s = next(iter(self._retired.values()))
            if until_s > now_s and len(self._retired) <= _MAX_RETIRED:
                return
            self._retired.popitem(last=False)


def _read_folder(folder: Path, is_own: bool, problems: list[str]) -> Iterator[ClonedVoice]:
    for wav in sorted(folder.glob("*.wav")):
        if wav.name.startswith("."):
            continue
        try:
            yield _read_voice(wav, is_own)
        except (ClipRefused, VoiceRefused) as error:
            problems.append(f"{wav}: {error}")
        except OSError as error:
            problems.append(f"{error.filename}: cannot be read: {error.strerror}")


def _read_voice(wav: Path, is_own: bool) -> ClonedVoice:
    """Raises ClipRefused, VoiceRefused and OSError."""
    if VOICE_ID.fullmatch(wav.stem) is None:
        raise VoiceRefused("invalid", f"the name must be {VOICE_ID_RULE}")
    if wav.stat().st_size > MAX_CLIP_BYTES:
        raise ClipRefused(f"the file must have at most {MAX_CLIP_BYTES // 2**20} MiB")
    data = wav.read_bytes()
    read_clip(data)
    text = wav.with_suffix(".txt")
    try:
        transcript = _checked_transcript(text.read_text(encoding="utf-8-sig")) if text.is_file() else ""
    except UnicodeDecodeError as error:
        raise VoiceRefused("invalid", f"{text.name} must be UTF-8") from error
    facts = _read_facts(wav.with_suffix(".toml"))
    return ClonedVoice(wav.stem, transcript, facts, wav, is_own, _content_key(data, transcript, facts))


def _read_facts(path: Path) -> VoiceFacts:
    if not path.is_file():
        return VoiceFacts()
    try:
        return VoiceFacts.model_validate(toml_tree(path.read_text(encoding="utf-8-sig")))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise VoiceRefused("invalid", f"{path.name}: {'; '.join(problems)}") from error
    except ValueError as error:
        raise VoiceRefused("invalid", f"{path.name} is not valid TOML: {error}") from error


def _checked(voice: NewVoice) -> tuple[VoiceFacts, str]:
    """The facts and the transcript of a voice to be added. Raises VoiceRefused."""
    if VOICE_ID.fullmatch(voice.id) is None:
        raise VoiceRefused("invalid", f"id must be {VOICE_ID_RULE}, got {voice.id[:60]!r}")
    if len(voice.name) > MAX_NAME_CHARS or not voice.name.isprintable():
        raise VoiceRefused("invalid", f"name must be at most {MAX_NAME_CHARS} printable characters", "name")
    if voice.language and _LANGUAGE.fullmatch(voice.language) is None:
        message = f"language must be a tag such as en or zh-CN, got {voice.language[:20]!r}"
        raise VoiceRefused("invalid", message, "language")
    return VoiceFacts(name=voice.name, language=voice.language), _checked_transcript(voice.transcript)


def _checked_transcript(text: str) -> str:
    """On one line. Raises VoiceRefused."""
    line = " ".join(text.split())
    if len(line) > MAX_TRANSCRIPT_CHARS or not line.isprintable():
        message = f"the transcript must be at most {MAX_TRANSCRIPT_CHARS} printable characters, got {len(line)}"
        raise VoiceRefused("invalid", message, "transcript")
    return line


def _written_facts(facts: VoiceFacts) -> list[tuple[str, str]]:
    return [(key, value) for key, value in (("name", facts.name), ("language", facts.language)) if value]


def _content_key(wav: bytes, transcript: str, facts: VoiceFacts) -> str:
    digest = hashlib.sha256(wav)
    digest.update(json.dumps([transcript, facts.model_dump(mode="json")], sort_keys=True).encode())
    return digest.hexdigest()


def _replace_file(path: Path, data: bytes) -> None:
    """Write atomically: readers see the old file, none, or the whole new one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
