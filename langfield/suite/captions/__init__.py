"""Words for what an object does: pictures prompted, captioned, kept, and found again by a question."""
