"""Heads from words: one module per method."""

METHODS: dict[str, str] = {
    "descriptions": "langfield.suite.ask.descriptions",
}
