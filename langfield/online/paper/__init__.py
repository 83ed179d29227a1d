"""Online Language Splatting (arXiv 2503.09447) as a named mode: dense features, two autoencoders, language apart."""
