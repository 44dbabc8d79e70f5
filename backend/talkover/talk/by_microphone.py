"""A conversation by microphone and loudspeaker, shown turn by turn until it is ended with control and C."""

from __future__ import annotations

from collections import deque

from rich.console import Console
from rich.markup import escape

from talkover.client.connection import JsonObject, Received
from talkover.client.turns import Turns
from talkover.talk.devices import DevicePlayer, SoundCard
from talkover.talk.opening import open_conversation
from talkover.talk.scene import Line
from talkover.talk.view import live, summary

FINISHED = ("conversation.item.input_audio_transcription.completed", "s2s.turn.metrics", "s2s.item.heard")
"""what may complete a turn on the screen"""
MAX_LATENCIES = 1000
MAX_OPEN = 32
"""answers that were cut off and about which the server did not say what was heard"""


class Transcript:
    """Prints each turn once, when it is complete. Called on the client's thread."""

    def __init__(self, screen: Console) -> None:
        self.latencies_ms: deque[float] = deque(maxlen=MAX_LATENCIES)
        self._screen = screen
        self._turns = Turns()

    def take(self, received: Received) -> None:
        self._turns.take(received)
        if received.type == "error":
            self._screen.print(f"[red]error:[/] {escape(received.event['error']['message'])}", highlight=False)
        elif received.type in FINISHED:
            self._show_users()
            self._show_answers()

    def _show_users(self) -> None:
        for turn in tuple(self._turns.user.values()):
            if turn.text is not None:
                self._screen.print(live(Line("you", turn.at_s, None, turn.text)), highlight=False)
                del self._turns.user[turn.item_id]

    def _show_answers(self) -> None:
        for answer in tuple(self._turns.answers.values()):
            cut = answer.status == "cancelled" and answer.text != ""
            if answer.metrics is None or (cut and not answer.heard_chars):
                continue
            latency_ms: float | None = answer.metrics.get("voice_to_voice_ms")
            if latency_ms is not None:
                self.latencies_ms.append(latency_ms)
            heard = answer.heard_chars[-1] if answer.heard_chars else len(answer.text)
            said, unheard = answer.text[:heard], answer.text[heard:]
            line = Line("agent", answer.created_s, None, said, unheard, voice_to_voice_ms=latency_ms)
            self._screen.print(live(line), highlight=False)
            del self._turns.answers[answer.response_id]
        while len(self._turns.answers) > MAX_OPEN:
            del self._turns.answers[next(iter(self._turns.answers))]


def talk(url: str, session: JsonObject, screen: Console) -> None:
    """Until the user ends it. Raises ServerUnreachable, NoDevice, ConversationEnded."""
    player = DevicePlayer()
    transcript = Transcript(screen)
    client = open_conversation(url, player, session, transcript.take)
    try:
        card = SoundCard(player, client.append)
    except Exception:
        client.close()
        raise
    screen.print("[dim]Talk; talk over the answer whenever you like. Control and C ends it.[/]")
    try:
        client.wait_closed()
    except KeyboardInterrupt:
        screen.print(f"[dim]{summary(tuple(transcript.latencies_ms))}[/]")
    finally:
        card.close()
        client.close()
