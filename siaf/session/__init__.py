"""A session: rounds of interaction on one video, and all that it keeps from round to round."""
