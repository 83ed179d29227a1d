"""Heads from a few examples: one module per method."""

METHODS: dict[str, str] = {
    "coop": "langfield.suite.teach.coop",
    "gda": "langfield.suite.teach.gda",
}
