"""The engine: primitives, tensors, recording, the sweep and the graph."""
