"""What the example pipeline computes, without Flink: so it can be read and tested on its own."""
