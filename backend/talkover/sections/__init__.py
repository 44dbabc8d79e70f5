"""The sections of `talkover.config`, by subject; each key is explained in `configs/default.toml`."""
