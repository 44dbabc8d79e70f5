"""What the sessions of a client secret begin with: checked when the secret is made, as a `session.update` would be."""

from __future__ import annotations

import msgspec

from talkover.access.client_secrets import SecretSession
from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import encode_event
from talkover.realtime.fields import Field, JsonObject
from talkover.realtime.ids import new_id
from talkover.realtime.session import updated_settings
from talkover.realtime.session_options import SessionOptions

MAX_BYTES = 64 * 1024
"""kept for each secret until it expires; a session under way may have more"""


def secret_session(session: JsonObject, options: SessionOptions) -> SecretSession:
    """`session`: the object a client sent. Raises ProtocolError, whose `param` is the key at fault."""
    try:
        msgspec.json.encode(session)
    except (UnicodeEncodeError, RecursionError) as error:  # which the decoder of the REST endpoints lets through
        message = "session must be Unicode text without lone surrogates, and not nested deeply"
        raise ProtocolError("invalid_value", message, "session") from error
    named = Field(session, "session").get("model")
    model = None if named is None or named.is_null else named.string()
    settings = updated_settings(options.settings, session, options)
    wire = settings.wire(new_id("sess_"), model or options.model, 0)
    if (size := len(encode_event(wire))) > MAX_BYTES:
        raise ProtocolError(
            "invalid_value", f"session must encode to at most {MAX_BYTES} characters here, got {size}", "session"
        )
    # The id is made anew for every session the secret opens, and so is when it ends; 0 is what OpenAI says, too.
    return SecretSession(settings, model, wire)
