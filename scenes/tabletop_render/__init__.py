"""How the scene becomes pictures and ground truth: cameras, path tracing, denoising, labels, files."""
