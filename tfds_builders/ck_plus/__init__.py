"""CK+: 593 posed expressions of 123 people, from neutral to the peak. See README.md in this folder."""
