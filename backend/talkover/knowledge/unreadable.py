"""What a loader raises."""


class Unreadable(Exception):
    """Nothing can be read from a file. The message goes on where the file's name ended: `is encrypted`."""
