"""AFEW-VA: 600 clips of films with valence, arousal and landmarks in every frame. See README.md in this folder."""
