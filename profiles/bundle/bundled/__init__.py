"""What every bundle carries: scripts that need only onnxruntime and numpy."""
