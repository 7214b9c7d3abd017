"""``kubectl frem``: what people on call see of FlinkRemediations and do about them, from a terminal."""
