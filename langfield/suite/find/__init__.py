"""Maps into a space where like things are near: one module per method."""

METHODS: dict[str, str] = {
    "cross-gap": "langfield.suite.find.cross_gap",
    "lexiclip": "langfield.suite.find.lexiclip",
    "clippings": "langfield.suite.find.clippings",
}
