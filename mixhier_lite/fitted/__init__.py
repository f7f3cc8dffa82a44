"""What a fitted model is, and what is read off it: effects, predictions, profiles, tables."""
