"""TFEID: forty Taiwanese actors, eight posed expressions. See README.md in this folder."""
