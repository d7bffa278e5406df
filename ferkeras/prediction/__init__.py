"""Emotions of faces in pictures, videos and cameras: find, follow, crop, classify, smooth."""
