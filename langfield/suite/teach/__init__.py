"""Heads from a few examples: one module per method."""

METHODS: dict[str, str] = {
    "gda": "langfield.suite.teach.gda",
}
