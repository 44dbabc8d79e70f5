"""Talkover: a full-duplex speech-to-speech voice agent."""

__version__ = "0.1.0"
