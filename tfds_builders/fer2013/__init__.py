"""FER2013: 35,887 grey 48x48 faces in seven emotions. See README.md in this folder."""
