"""Gaussians to pixels, with gradients."""

from langfield.raster.screen import Screen as Screen
from langfield.raster.screen import rasterize as rasterize
from langfield.raster.screen import to_screen as to_screen
from langfield.raster.types import Gaussians as Gaussians
from langfield.raster.types import RasterOptions as RasterOptions
from langfield.raster.types import View as View
