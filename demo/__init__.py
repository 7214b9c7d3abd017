"""The main job on real input, from nothing: ``python -m demo`` (``make demo``)."""
