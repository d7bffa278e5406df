"""Aff-Wild2: videos of people in everyday life with valence, arousal, expressions and action units by frame."""
