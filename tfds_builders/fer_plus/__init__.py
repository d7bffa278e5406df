"""FER+: the faces of FER2013 with the votes of ten people each. See README.md in this folder."""
