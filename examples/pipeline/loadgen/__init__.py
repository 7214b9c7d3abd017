"""A load generator for the example pipeline, and an audit that says whether every event came out of it."""
