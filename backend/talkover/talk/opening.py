"""The first words with a server: connect, and have the settings of the conversation accepted."""

from __future__ import annotations

import os
from collections.abc import Callable

from talkover.client.connection import JsonObject, Player, RealtimeClient, Received, ServerUnreachable

EXTENSION = ("metrics", "words", "playback")
"""asked for as our page does: the server may duck, and is told what was played"""
KEY_VARIABLE = "TALKOVER_API_KEY"
SETTINGS_TIMEOUT_S = 10.0


def open_conversation(
    url: str, player: Player, session: JsonObject, on_event: Callable[[Received], None] | None = None
) -> RealtimeClient:
    """Raises ServerUnreachable, also when the server refuses the settings."""
    client = RealtimeClient(url, player, key=os.environ.get(KEY_VARIABLE), extension=EXTENSION, on_event=on_event)
    client.send({"type": "session.update", "event_id": "settings", "session": session})
    replies: list[Received] = []

    def has_replied() -> bool:
        # the first update is the extension's; a server that does not know it may refuse that one, and goes on without
        updates = [r for r in client.events() if r.type in ("session.updated", "error")]
        replies[:] = updates[1:]
        return bool(replies)

    client.wait_until(has_replied, SETTINGS_TIMEOUT_S, "a reply to the settings")
    if replies[0].type == "error":
        client.close()
        raise ServerUnreachable(f"{url}: the settings were refused: {replies[0].event['error']['message']}")
    return client
