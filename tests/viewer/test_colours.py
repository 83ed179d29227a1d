"""Colours that can be read: even in lightness, dim where nothing is relevant, hues for latents."""

import cv2
import numpy as np
import torch

from langfield.viewer.colours import (
    colour_table,
    histogram_html,
    label_colours,
    latent_colours,
    layered_colours,
    legend_html,
    relevancy_colours,
    spread_colours,
)


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L* of uint8 colours [N, 3]."""
    return cv2.cvtColor((rgb[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0, :, 0]


def test_the_map_rises_evenly_in_lightness():
    steps = np.diff(lightness(colour_table()))
    assert (steps > -0.05).all()
    coarse = np.diff(lightness(colour_table()[::17]))
    assert coarse.min() > 0.6 * coarse.mean()
    assert coarse.max() < 1.4 * coarse.mean()


def test_more_relevant_is_lighter_and_the_rest_is_dim_grey():
    rgb = np.full((5, 3), (200, 40, 90), np.uint8)
    out = relevancy_colours(np.array([0.1, 0.59, 0.6, 0.7, 0.8]), threshold=0.6, top=0.8, rgb=rgb)
    assert (out[:2] == out[0]).all()
    assert len(set(out[0].tolist())) == 1
    assert out[0, 0] < 60
    assert all(np.ptp(colour) > 40 for colour in out[2:])
    assert (np.diff(lightness(out[2:])) > 5).all()
    assert (out[4] == colour_table()[255]).all()


def test_scores_beyond_the_ends_take_the_end_colours():
    out = relevancy_colours(np.array([0.2, 0.95]), threshold=0.0, top=0.7, rgb=np.zeros((2, 3), np.uint8))
    assert (out[0] == colour_table()[0]).all()
    assert (out[1] == colour_table()[255]).all()


def test_latents_keep_groups_apart_and_missing_codes_grey():
    groups = torch.nn.functional.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    codes = torch.cat([groups.repeat_interleave(50, 0), torch.zeros(10, 16)])
    out = latent_colours(codes)
    assert (out[-10:] == 40).all()
    first = out[:200:50].astype(int)
    assert (np.abs(first[:, None] - first).sum(-1) + 1000 * np.eye(4) > 60).all()
    assert np.ptp(out[:200].reshape(4, 50, 3), axis=1).max() <= 1


def test_latents_of_few_or_narrow_codes_do_not_fail():
    assert latent_colours(torch.zeros(3, 3)).shape == (3, 3)
    assert latent_colours(torch.randn(9, 2)).shape == (9, 3)
    assert latent_colours(torch.ones(9, 3)).shape == (9, 3)


def test_the_legend_says_its_numbers():
    text = legend_html(threshold=0.61, top=0.72)
    for number in ("0.50", "0.61", "0.72"):
        assert number in text


def test_each_gaussian_takes_the_question_it_exceeds_most():
    rgb = np.full((4, 3), 200, np.uint8)
    first, second = np.array([0.9, 0.1, 0.8, 0.1]), np.array([0.1, 0.9, 0.9, 0.1])
    layers = [(first, 0.5, 1.0, (255, 0, 0)), (second, 0.5, 1.0, (0, 0, 255))]
    red, blue, both, none = layered_colours(layers, rgb).astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert both[2] > both[0]
    assert none.max() - none.min() == 0
    assert none.max() < 100


def test_near_is_bright_and_labels_differ():
    spread = spread_colours(np.linspace(1, 9, 50)).astype(int).sum(1)
    assert spread[0] > spread[-1]
    labels = label_colours(np.arange(-1, 30))
    assert labels[0].tolist() == [40, 40, 40]
    assert len(np.unique(labels, axis=0)) == 31


def test_the_histogram_says_how_many_and_escapes_nothing_odd():
    scores = np.concatenate([np.full(900, 0.3), np.full(100, 0.7)])
    html = histogram_html(scores, 0.5)
    assert "100 of 1,000 Gaussians at or above 0.500" in html
    assert html.count("<rect") == 2
    assert "1,000 of 1,000" in histogram_html(scores, 0.0)
