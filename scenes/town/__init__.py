"""A procedural town of any size: every cell follows from seed and place alone, every photo from its number."""
