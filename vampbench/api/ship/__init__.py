"""The whole way, the best set within a budget, what they found, and the folder that ships."""
