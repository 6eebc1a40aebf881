"""Everything of CUDA that is measured, in one script: `bench/cuda.sh`."""
