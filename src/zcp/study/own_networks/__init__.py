"""Networks from outside the benchmarks: small ones of three kinds, and models of a public library."""
