"""Reports on what an encoder cannot tell apart in a scene: one module per method."""

METHODS: dict[str, str] = {
    "mmvp": "langfield.suite.diagnose.mmvp",
}
