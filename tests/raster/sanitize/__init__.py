"""The CPU kernels under the compiler's sanitizers."""
