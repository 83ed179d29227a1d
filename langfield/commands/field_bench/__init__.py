"""What `langfield bench field` measures: the parts behind its table."""
