"""The numerics of the methods: windows and FFTs, kernels, stencils, solvers."""
