"""Any videos with a list of labelled segments, such as a private conversational database. See README.md here."""
