"""What `langfield bench cluster` measures: one run in a process of its own, and what is put together of such runs."""
