"""Reports of what drifted: a process of their own, because reading rows and drawing them takes memory and time."""
