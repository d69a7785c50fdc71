"""What the store holds between calls: sessions, frames, tracks, tokens."""
