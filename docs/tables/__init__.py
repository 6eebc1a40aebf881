"""The tables and sentences of the pages that are made of kept results, as Markdown."""
