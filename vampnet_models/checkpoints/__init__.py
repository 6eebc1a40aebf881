"""`.pth` files to named tensors, without torch, with nothing executed."""
