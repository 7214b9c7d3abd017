"""Container images for a machine without a container engine: recipes, and the archives built from them.

`build` gives one docker archive per image, for `ctr -n k8s.io images import`. An archive is kept in the cache
under a hash of everything that goes into it, so that a second run builds nothing.
"""

from .builder import build, keys
from .catalogue import DEFAULT, IMAGES, PROGRAMS, Image

__all__ = ["DEFAULT", "IMAGES", "PROGRAMS", "Image", "build", "keys"]
