"""What each paper claims, measured on ground whose truth is known: one module per method, a few claims each.

A module has `EFFECTS`; each is measured by a seed as two numbers, without the method and with it. Claims that did not
reproduce here stay in the table with what was measured.
"""

METHODS: dict[str, str] = {
    "gda": "langfield.suite.effects.gda",
    "coop": "langfield.suite.effects.coop",
    "maple": "langfield.suite.effects.maple",
    "clip-svd": "langfield.suite.effects.clip_svd",
    "nola": "langfield.suite.effects.nola",
    "descriptions": "langfield.suite.effects.descriptions",
    "disclip": "langfield.suite.effects.disclip",
    "grain": "langfield.suite.effects.grain",
    "laclip": "langfield.suite.effects.laclip",
    "hq-clip": "langfield.suite.effects.hq_clip",
    "comclip": "langfield.suite.effects.comclip",
    "deltaspace": "langfield.suite.effects.deltaspace",
    "cross-gap": "langfield.suite.effects.cross_gap",
    "lexiclip": "langfield.suite.effects.lexiclip",
    "clippings": "langfield.suite.effects.clippings",
    "long-clip": "langfield.suite.effects.long_clip",
    "babel-imagenet": "langfield.suite.effects.babel_imagenet",
    "mmvp": "langfield.suite.effects.mmvp",
}
