"""Linear and variational solvers, their data terms and regularisers."""
