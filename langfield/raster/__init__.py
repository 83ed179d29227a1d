"""Gaussians to pixels, with gradients."""

from langfield.raster.contributions import Gate as Gate
from langfield.raster.contributions import SegmentWeights as SegmentWeights
from langfield.raster.contributions import gaussian_scores as gaussian_scores
from langfield.raster.contributions import scatter_segments as scatter_segments
from langfield.raster.contributions import splat_channels as splat_channels
from langfield.raster.contributions import splat_codes as splat_codes
from langfield.raster.contributions import splat_scores as splat_scores
from langfield.raster.contributions import top_contributors as top_contributors
from langfield.raster.kept import KeptWeights as KeptWeights
from langfield.raster.kept import blend_kept as blend_kept
from langfield.raster.kept import blend_kept_against as blend_kept_against
from langfield.raster.kept import blend_kept_relevancy as blend_kept_relevancy
from langfield.raster.kept import keep_weights as keep_weights
from langfield.raster.screen import Screen as Screen
from langfield.raster.screen import rasterize as rasterize
from langfield.raster.screen import to_screen as to_screen
from langfield.raster.types import Gaussians as Gaussians
from langfield.raster.types import RasterOptions as RasterOptions
from langfield.raster.types import View as View
from langfield.raster.words import word_relevancy as word_relevancy
from langfield.raster.words import word_scales as word_scales
from langfield.raster.words import word_scores as word_scores
