"""Replays policies against history: the same decisions, by a simulated clock."""
