"""What a provider of clusters stops with."""


class ProviderError(Exception):
    """The machine cannot carry this provider, or a part of it does not come up; the message says which and why."""
