"""Accuracy of quantizers, ours and others."""
