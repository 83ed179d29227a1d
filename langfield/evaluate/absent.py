"""Names of things that neither `scenes/tabletop` nor fr3_office shows: what "it is not here" is measured on.

Fixed before anything was measured on it. Left out are synonyms, parts and wider words of what the two scenes do show,
labelled or not (a "bear" beside a teddy bear, a "cup" beside a mug); near relatives stay in (a "truck" where there is a
toy car, a "guitar" where there is none of its kind).
"""

from __future__ import annotations

ABSENT_NAMES: tuple[str, ...] = (
    "accordion", "aquarium", "armadillo", "backpack", "bagpipe", "barbell", "bathtub", "bicycle", "birdcage",
    "bow tie", "boxing glove", "broccoli", "broom", "bulldozer", "bunk bed", "butterfly", "camel", "canoe", "carrot",
    "cash register", "cauliflower", "chainsaw", "chandelier", "cheeseburger", "chessboard", "coat hanger", "corkscrew",
    "cowboy hat", "crab", "crocodile", "crutch", "cupcake", "dolphin", "doormat", "drum", "dumbbell", "eagle",
    "earring", "elephant", "elevator", "fire extinguisher", "fireplace", "fishing rod", "flamingo", "frying pan",
    "garden hose", "giraffe", "goat", "grand piano", "guitar", "hair dryer", "hammock", "harmonica", "helicopter",
    "high heels", "hockey stick", "ironing board", "jellyfish", "kayak", "kite", "ladder", "lawn mower", "lobster",
    "mattress", "microwave oven", "motorcycle", "necklace", "ostrich", "paintbrush", "parachute", "parking meter",
    "penguin", "pizza", "refrigerator", "rolling pin", "saddle", "sandwich", "saxophone", "sewing machine", "shark",
    "shower curtain", "skateboard", "sleeping bag", "snowboard", "snowman", "stethoscope", "stop sign", "suitcase",
    "sunglasses", "surfboard", "sushi", "swimming pool", "toaster", "toilet", "tractor", "truck", "trumpet",
    "umbrella", "violin", "zebra",
)  # fmt: skip
