"""Synthesise what the duplex benchmark says beside the questions of `speech/`, and list it in `duplex/manifest.json`.

English with flite, Mandarin with espeak-ng (Debian packages `flite`, `espeak-ng`). The files are kept in the
repository, so that nobody needs either; run this again only to change the sentences. 16 kHz mono Ogg Vorbis, a third of
the size of FLAC, with 0.1 s of silence at both ends.

A `|` in a text marks a place where a speaker may stop to think: it stands behind a comma, at which flite makes a pause,
so the speech before it is not spoken as if it were the end. The benchmark stretches that pause.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from talkover.audio import resampled

FOLDER = Path(__file__).parent / "duplex"
RATE_HZ = 16_000
PADDING_S = 0.1
SILENT = 10 ** (-50 / 20)
VOICES = ("slt", "rms", "awb", "kal16")
MANDARIN_VOICES = ("cmn+f2", "cmn+m3")
MANDARIN_SPEED = "260"
"""words a minute: 3 to 4 syllables a second; people speak 5"""


@dataclass(frozen=True)
class Phrase:
    id: str
    kind: str
    text: str
    voices: int = 1
    """by how many of the voices it is spoken"""
    lang: str = "en"
    phones: str = ""
    """flite's, where it would spell the text"""


PHRASES = (
    Phrase("yes", "yes_no", "Yes.", 4),
    Phrase("no", "yes_no", "No.", 4),
    Phrase("yes_please", "yes_no", "Yes, please.", 2),
    Phrase("no_thank_you", "yes_no", "No, thank you.", 2),
    Phrase("yeah_sure", "yes_no", "Yeah, sure.", 2),
    # ------------------------------------------------------------------------------------ pauses, by what is before
    Phrase("voice_um", "hesitation", "I would like to know, um, | how I can change the voice.", 2),
    Phrase("time_uh", "hesitation", "Could you tell me, uh, | what time it is?", 2),
    Phrase("card_well", "hesitation", "I wanted to ask whether, er, | I need a graphics card.", 2),
    Phrase("phone", "digits", "My number is five five five, | one two three, | four five six seven.", 2),
    Phrase("order", "digits", "The order number is four two, | seven nine, | zero three.", 2),
    Phrase("code", "digits", "The code is eight one, | six six, | two.", 2),
    Phrase("smith", "email", "My address is john dot smith, | at example dot com.", 2),
    Phrase("sales", "email", "Please write to sales at, | green garden dot org.", 2),
    Phrase("shopping", "list", "I need eggs, | milk, | and a loaf of bread.", 2),
    Phrase("cities", "list", "We went to Paris, | to Rome, | and to Berlin.", 2),
    Phrase("rain", "clause", "If it rains tomorrow, | what should I bring?", 2),
    Phrase("key", "clause", "When I connect a language model, | where do I put the key?", 2),
    Phrase("because", "clause", "I am asking because, | my friend wants to use it too.", 2),
    Phrase("voices_and", "clause", "Can you speak Mandarin, and, | which other languages do you speak?", 2),
    Phrase("table", "clause", "I want to book a table for, | four people.", 2),
    # ------------------------------------------------------------------------------------------ over the agent's speech
    Phrase("uh_huh", "backchannel", "Uh huh.", 4),
    Phrase("mm_hmm", "backchannel", "Mm-hmm.", 4, phones="pau m m hh m m m pau"),
    Phrase("yeah", "backchannel", "Yeah.", 4),
    Phrase("right", "backchannel", "Right.", 4),
    Phrase("okay", "backchannel", "Okay.", 4),
    Phrase("i_see", "backchannel", "I see.", 4),
    Phrase("oh_really", "backchannel", "Oh really.", 2),
    Phrase("sure", "backchannel", "Sure.", 2),
    Phrase("zh_en", "backchannel", "嗯。", 2, "zh"),
    Phrase("zh_enen", "backchannel", "嗯嗯。", 2, "zh"),
    Phrase("zh_dui", "backchannel", "对。", 2, "zh"),
    Phrase("zh_shide", "backchannel", "是的。", 2, "zh"),
    Phrase("zh_haode", "backchannel", "好的。", 2, "zh"),
    Phrase("zh_o", "backchannel", "哦。", 2, "zh"),
    Phrase("stop_it", "command", "Stop it.", 2),
    Phrase("hold_on", "command", "Hold on a second.", 2),
    Phrase("quiet", "command", "Please be quiet.", 2),
    Phrase("enough", "command", "Okay, that is enough.", 2),
    Phrase("zh_ting", "command", "停一下。", 2, "zh"),
    Phrase("zh_dengdeng", "command", "等等，等等。", 2, "zh"),
    Phrase("wrong", "correction", "No, that is wrong.", 2),
    Phrase("actually", "correction", "Actually, I meant the other one.", 2),
    Phrase("not_that", "correction", "No no, not that.", 2),
    Phrase("zh_budui", "correction", "不对，不是这个。", 2, "zh"),
    Phrase("but_what_time", "interrupting_question", "But what time is it?", 2),
    Phrase("sorry_who", "interrupting_question", "Sorry, who are you?", 2),
    Phrase("and_mandarin", "interrupting_question", "And can you speak Mandarin?", 2),
    # not for the agent
    Phrase("cat", "side_talk", "Honey, did you feed the cat?", 2),
    Phrase("put_it", "side_talk", "You can put it on the table over there.", 2),
    Phrase("dinner", "side_talk", "Dinner is in the oven, I will be there in a minute.", 2),
    Phrase("call_back", "side_talk", "Tell her that I will call her back.", 2),
    Phrase(
        "weather",
        "television",
        "And now the weather. Heavy rain is expected along the coast tonight, with strong winds from the north west. "
        "Tomorrow will be dry at first, with sunny spells in the afternoon.",
        2,
    ),
    Phrase(
        "match",
        "television",
        "He takes the ball down the left side, passes to the middle, and the keeper has it. Ten minutes left to play "
        "here, and the visitors are still one goal behind.",
        2,
    ),
    # ------------------------------------------------------------------------------------------------- the user's turns
    Phrase(
        "travel",
        "monologue",
        "Last summer we travelled through the mountains with the children, | and on the second day it began to rain, | "
        "so we stayed in a small village near the lake, | where an old man rented us two rooms above his shop, | and "
        "every evening he told us stories about the time, | when there was no road yet, | and people came across the "
        "water, | so what I want to know is, | can you tell me a story too?",
        2,
    ),
    Phrase(
        "project",
        "monologue",
        "I am building something for my grandmother, | who does not see very well any more, | and she would like to "
        "ask for the time, | and for the date, | and now and then for a story, | because she lives alone, | and so I "
        "thought of a voice agent, | but before I begin I need to know, | does it work without the internet?",
        2,
    ),
    Phrase("and_free", "goes_on", "And is it free?", 2),
    Phrase("i_mean_voice", "goes_on", "I mean how do I change the voice?", 2),
    Phrase("because_need", "goes_on", "Because I need it today.", 2),
)


def spoken_english(text: str, voice: str, phones: str = "") -> tuple[np.ndarray, list[float], list[float]]:
    """(n,) float32 at 16 kHz, and in ms where each inner pause begins and ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        what = ["-p", phones] if phones else ["-t", text]
        command = ["flite", "-voice", voice, *what, "-psdur", "-o", str(path)]
        durations = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        samples, rate_hz = soundfile.read(path, dtype="float32")
    timed = [(name, float(end_s) * 1000) for name, end_s in re.findall(r"(\S+?):([\d.]+)", durations)]
    begins = [before for (_, before), (name, _) in pairwise(timed) if name == "pau"]
    ends = [end for (_, _), (name, end) in pairwise(timed) if name == "pau"]
    return resampled(samples, rate_hz, RATE_HZ), begins[:-1], ends[:-1]


def spoken_mandarin(text: str, voice: str) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", MANDARIN_SPEED, "-w", str(path), text], check=True)
        samples, rate_hz = soundfile.read(path, dtype="float32")
    return resampled(samples, rate_hz, RATE_HZ)


def row_of(phrase: Phrase, voice: str) -> dict[str, object]:
    """Synthesise, write, describe."""
    begins: list[float] = []
    ends: list[float] = []
    text = phrase.text.replace("| ", "")
    if phrase.lang == "en":
        samples, begins, ends = spoken_english(text, voice, phrase.phones)
    else:
        samples = spoken_mandarin(text, voice)
    loud = np.flatnonzero(np.abs(samples) >= SILENT)
    begin, end = int(loud[0]), int(loud[-1]) + 1
    padding = np.zeros(round(PADDING_S * RATE_HZ), np.float32)
    file = f"{phrase.id}_{voice.replace('+', '_')}.ogg"
    soundfile.write(FOLDER / file, np.concatenate([padding, samples[begin:end], padding]), RATE_HZ, subtype="VORBIS")
    row: dict[str, object] = {"file": file, "id": phrase.id, "kind": phrase.kind, "lang": phrase.lang}
    row |= {"voice": voice, "text": text}
    if "|" in phrase.text:
        shift_ms = PADDING_S * 1000 - begin / RATE_HZ * 1000
        row["pauses"] = [
            {"before": phrase.text[: place.start()].replace("| ", "").strip(), "start_ms": start_ms, "end_ms": end_ms}
            for place, start_ms, end_ms in _places(phrase.text, begins, ends, shift_ms, file)
        ]
    return row


def _places(
    text: str, begins: list[float], ends: list[float], shift_ms: float, file: str
) -> list[tuple[re.Match[str], float, float]]:
    """The marked places with their pause. Pauses and commas correspond one to one, but for a comma at which flite did
    not pause: then the phrase has to be worded otherwise."""
    commas = [match.start() for match in re.finditer(r"[,.!?](?=\s)", text)]
    if len(commas) != len(begins):
        sys.exit(f"{file}: {len(commas)} commas, but {len(begins)} pauses")
    found: list[tuple[re.Match[str], float, float]] = []
    for place in re.finditer(r"\|", text):
        index = max(i for i, comma in enumerate(commas) if comma < place.start())
        found.append((place, round(begins[index] + shift_ms, 1), round(ends[index] + shift_ms, 1)))
    return found


def main() -> None:
    for program in ("flite", "espeak-ng"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing: apt-get install {program}")
    FOLDER.mkdir(exist_ok=True)
    rows: list[dict[str, object]] = []
    for number, phrase in enumerate(PHRASES):
        voices = VOICES if phrase.lang == "en" else MANDARIN_VOICES
        rows += [row_of(phrase, voices[(number + nth) % len(voices)]) for nth in range(phrase.voices)]
    (FOLDER / "manifest.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    total_mb = sum(path.stat().st_size for path in FOLDER.glob("*.ogg")) / 1e6
    print(f"{len(rows)} files, {total_mb:.1f} MB in {FOLDER}")


if __name__ == "__main__":
    main()
