"""The toy world: drawn scenes whose truth is known, sentences about them, and three small CLIPs trained on both.

`load_toy("good")` binds attributes to things, in whole pictures and in patches; "bag" was taught with the words of
every caption shuffled, so it cannot; "dense" learned from whole pictures alone, so its patches say nothing. None of
them learned places and relations. Everything follows from seeds.
"""

from langfield.suite.toy.draw import Drawn as Drawn
from langfield.suite.toy.draw import draw as draw
from langfield.suite.toy.model import NAMES as NAMES
from langfield.suite.toy.model import Toy as Toy
from langfield.suite.toy.model import load_toy as load_toy
from langfield.suite.toy.scenes import Scene as Scene
from langfield.suite.toy.scenes import Thing as Thing
from langfield.suite.toy.scenes import make_scene as make_scene
