"""A state's figures, from events alone, ready to be looked up at every level."""
