"""Where models come from: wheels, the hub, folders. Each says in one sentence what it cannot give."""


class ModelError(Exception):
    """A model cannot be fetched or loaded; the message is one sentence."""
