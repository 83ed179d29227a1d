"""Heads from a few examples: one module per method."""

METHODS: dict[str, str] = {
    "clip-svd": "langfield.suite.teach.clip_svd",
    "coop": "langfield.suite.teach.coop",
    "gda": "langfield.suite.teach.gda",
    "maple": "langfield.suite.teach.maple",
    "nola": "langfield.suite.teach.nola",
}
