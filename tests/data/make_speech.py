"""Synthesise the spoken test sentences with flite (Debian package `flite`) and list them in `speech/manifest.json`.

The files are kept in the repository, so that no test needs flite; run this again only to change the sentences. Every
file is 16 kHz mono int16 with 0.3 s of silence at both ends.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from talkover.audio import resampled

SPEECH = Path(__file__).parent / "speech"
RATE_HZ = 16_000
PADDING_S = 0.3
VOICES = ("slt", "rms", "awb", "kal16")

SENTENCES: tuple[tuple[str, str, str], ...] = (
    # (id, kind, text); kind is question, command or outside (nothing the documents or phrases are about)
    ("what_is_talkover", "question", "What is Talkover?"),
    ("who_are_you", "question", "Hello, who are you?"),
    ("what_can_you_do", "question", "What can you do for me?"),
    ("time", "question", "Can you tell me what time it is?"),
    ("date", "question", "What is the date today?"),
    ("story", "question", "Please tell me a story."),
    ("count", "question", "Count from one to ten, please."),
    ("connect_llm", "question", "How do I connect a language model?"),
    ("api_key", "question", "Where do I put my API key?"),
    ("ollama", "question", "Can I use Ollama with Talkover?"),
    ("deepseek", "question", "How can I connect DeepSeek?"),
    ("add_voice", "question", "How do I add a new voice?"),
    ("change_voice", "question", "How can I change the voice?"),
    ("mandarin", "question", "Can you speak Mandarin?"),
    ("languages", "question", "Which languages do you speak?"),
    ("documents", "question", "How do I add my own documents?"),
    ("interrupt", "question", "Can I interrupt you while you are talking?"),
    ("gpu", "question", "Do I need a graphics card?"),
    ("offline", "question", "Does it work without the internet?"),
    ("websocket", "question", "How do I connect my own program over a WebSocket?"),
    ("license", "question", "Is Talkover free?"),
    ("latency", "question", "How fast do you answer?"),
    ("cosyvoice", "question", "What is CosyVoice?"),
    ("barge_in", "question", "What happens when I talk over you?"),
    ("stop", "command", "Stop."),
    ("wait", "command", "Wait a moment, please."),
    ("correction", "command", "No, I meant something else."),
    ("thanks", "command", "Thank you very much."),
    ("go_on", "command", "Okay, go on."),
    ("repeat", "command", "Could you repeat that?"),
    ("backchannel", "command", "Uh huh."),
    ("goodbye", "command", "Goodbye."),
    ("printing", "outside", "The printers of the fifteenth century cut their letters in wood."),
    ("recipe", "outside", "Add two eggs and a spoon of butter to the flour."),
    ("capital", "outside", "What is the capital of Portugal?"),
    ("football", "outside", "Who won the football match on Saturday evening?"),
)
"""spoken by one voice each, in turn; sentences of `EVERY_VOICE` by all"""

DESK_SENTENCES: tuple[tuple[str, str], ...] = (
    ("send_back", "Can I send a lamp back?"),
    ("person", "I want to talk to a person."),
)
"""said by a caller of configs/customer_service.toml, in the folder `desk`: its recogniser knows other documents"""

EVERY_VOICE = ("what_is_talkover", "time", "story", "stop")


def spoken(text: str, voice: str) -> np.ndarray:
    """(n,) float32 at 16 kHz with silence at both ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        samples, rate_hz = soundfile.read(path, dtype="float32")
    samples = resampled(samples, rate_hz, RATE_HZ)
    silence = np.zeros(round(PADDING_S * RATE_HZ), np.float32)
    return np.concatenate([silence, samples, silence])


def main() -> None:
    if shutil.which("flite") is None:
        sys.exit("flite is missing: apt-get install flite")
    SPEECH.mkdir(exist_ok=True)
    rows: list[dict[str, object]] = []
    for number, (name, kind, text) in enumerate(SENTENCES):
        voices = VOICES if name in EVERY_VOICE else (VOICES[number % len(VOICES)],)
        for voice in voices:
            samples = spoken(text, voice)
            file = f"{name}_{voice}.flac"
            soundfile.write(SPEECH / file, samples, RATE_HZ, subtype="PCM_16")
            duration_s = round(samples.size / RATE_HZ, 3)
            rows.append(
                {"file": file, "id": name, "kind": kind, "voice": voice, "text": text, "duration_s": duration_s}
            )
    desk = SPEECH / "desk"
    desk.mkdir(exist_ok=True)
    desk_rows: list[dict[str, object]] = []
    for name, text in DESK_SENTENCES:
        file = f"{name}_slt.flac"
        soundfile.write(desk / file, spoken(text, "slt"), RATE_HZ, subtype="PCM_16")
        desk_rows.append({"file": file, "id": name, "voice": "slt", "text": text})
    (desk / "manifest.json").write_text(json.dumps(desk_rows, indent=1) + "\n", encoding="utf-8")
    (SPEECH / "manifest.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    total_mb = sum(path.stat().st_size for path in SPEECH.glob("*.flac")) / 1e6
    print(f"{len(rows)} files, {total_mb:.1f} MB in {SPEECH}")


if __name__ == "__main__":
    main()
