"""What `langfield bench online` measures, one file per kind of measurement."""
