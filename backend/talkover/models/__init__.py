"""Model files by path, from the local cache, or by download; engines ask `find_model` and nothing else.

The order: a folder that is named, Talkover's own folder of models, the caches of ModelScope and Hugging Face, and last,
when `models.download` allows it, a download. Nothing touches the network once the files are there.
"""

from talkover.models.find import find_model, model_folders

__all__ = ["find_model", "model_folders"]
