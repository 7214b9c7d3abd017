"""The definitions of the custom resources that the three dependencies bring, generated from their artifacts."""

from .generate import CHARTS, generate

__all__ = ["CHARTS", "generate"]
