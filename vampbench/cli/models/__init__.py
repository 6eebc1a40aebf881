"""Commands on models and audio."""
