"""The Evidently report: a process of its own, because what it imports is heavy."""
