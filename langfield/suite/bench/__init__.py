"""How good a pair of encoders is, as pure functions on vectors: retrieval, zero-shot, swapped words, blind pairs."""
