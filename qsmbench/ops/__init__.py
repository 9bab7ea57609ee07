"""The numerical floor of the methods: windows and FFTs, kernels, stencils, solvers."""
