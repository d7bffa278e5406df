"""Faces in pictures: finding, choosing, aligning and following them. Arrays in, arrays out."""
