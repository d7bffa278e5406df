"""Results made visible: annotated pictures and videos, timelines, summaries, and text for a language model."""
