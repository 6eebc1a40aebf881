"""The networks: checkpoint tensors to graphs."""
