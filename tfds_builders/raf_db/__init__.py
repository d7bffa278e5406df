"""RAF-DB, basic set: 15,339 faces of the web in seven emotions. See README.md in this folder."""
