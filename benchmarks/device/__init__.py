"""GPU benchmark: kernels, steps, limits."""
