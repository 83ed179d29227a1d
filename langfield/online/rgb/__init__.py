"""Depth for streams of pictures alone: from points of structure from motion, from a depth model, or from both."""
