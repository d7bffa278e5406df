"""MMI: people who show an expression from neutral to its apex and back, asked for or brought about. See README.md."""
