"""Heads from words: one module per method."""

METHODS: dict[str, str] = {
    "descriptions": "langfield.suite.ask.descriptions",
    "disclip": "langfield.suite.ask.disclip",
    "grain": "langfield.suite.ask.grain",
    "hq-clip": "langfield.suite.ask.hq_clip",
    "laclip": "langfield.suite.ask.laclip",
    "comclip": "langfield.suite.ask.comclip",
    "deltaspace": "langfield.suite.ask.deltaspace",
}
