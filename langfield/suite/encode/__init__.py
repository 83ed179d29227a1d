"""Changes of an encoder that can be taken back: one module per method."""

METHODS: dict[str, str] = {
    "long-clip": "langfield.suite.encode.long_clip",
}
