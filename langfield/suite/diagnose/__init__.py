"""Reports on what an encoder cannot tell apart in a scene: one module per method."""

METHODS: dict[str, str] = {
    "babel-imagenet": "langfield.suite.diagnose.babel_imagenet",
    "mmvp": "langfield.suite.diagnose.mmvp",
}
