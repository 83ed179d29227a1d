"""Heads from words: one module per method."""

METHODS: dict[str, str] = {}
