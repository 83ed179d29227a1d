"""Gaussians to pixels, with gradients."""

from langfield.raster.contributions import Gate as Gate
from langfield.raster.contributions import SegmentWeights as SegmentWeights
from langfield.raster.contributions import gaussian_scores as gaussian_scores
from langfield.raster.contributions import scatter_segments as scatter_segments
from langfield.raster.contributions import splat_channels as splat_channels
from langfield.raster.contributions import splat_codes as splat_codes
from langfield.raster.contributions import splat_scores as splat_scores
from langfield.raster.contributions import top_contributors as top_contributors
from langfield.raster.screen import Screen as Screen
from langfield.raster.screen import rasterize as rasterize
from langfield.raster.screen import to_screen as to_screen
from langfield.raster.types import Gaussians as Gaussians
from langfield.raster.types import RasterOptions as RasterOptions
from langfield.raster.types import View as View
