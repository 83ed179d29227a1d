"""Mapping while the camera moves: frames come in one by one, and the map can be asked at any moment."""
