"""The models together: audio to tokens to audio."""
