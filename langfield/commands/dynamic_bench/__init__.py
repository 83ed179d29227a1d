"""Parts of `langfield bench dynamic`."""
