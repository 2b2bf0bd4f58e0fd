"""The page about the attention of a sentence pair."""
