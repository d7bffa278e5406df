"""Why a network says what it says: maps of what counted in a face, and how far they can be trusted."""
