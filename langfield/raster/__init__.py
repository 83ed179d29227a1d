"""Gaussians to pixels, with gradients."""

from langfield.raster.dispatch import rasterize as rasterize
from langfield.raster.types import Gaussians as Gaussians
from langfield.raster.types import RasterOptions as RasterOptions
from langfield.raster.types import View as View
