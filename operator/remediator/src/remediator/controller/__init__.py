"""The role that acts: a kopf operator whose handlers are a few lines each."""
