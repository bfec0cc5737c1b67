"""Maps: two coordinates for each embedding, and a picture of them."""

from univar.map.draw import MapPoints, draw_map, points_of
from univar.map.projection import project

__all__ = ["MapPoints", "draw_map", "points_of", "project"]
