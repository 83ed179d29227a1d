"""What stands on the table: each thing is a function that gives meshes and materials, as plain arrays."""
