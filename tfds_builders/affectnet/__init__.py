"""AffectNet: 290,000 faces of the web with an emotion, valence and arousal each. See README.md in this folder."""
