"""A conversation from the terminal: `talkover talk`, by microphone or with recordings."""

from talkover.talk.run import command

__all__ = ["command"]
