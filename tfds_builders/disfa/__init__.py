"""DISFA: 27 people watch films, with the intensity of 12 facial action units in every frame. See README.md here."""
