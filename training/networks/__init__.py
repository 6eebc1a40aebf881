"""The networks in eager PyTorch."""
