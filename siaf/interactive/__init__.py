"""One picture after another: clicks on a frame, objects followed over pictures, frames that arrive when asked for."""
