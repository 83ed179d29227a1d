"""Maps into a space where like things are near: one module per method."""

METHODS: dict[str, str] = {}
