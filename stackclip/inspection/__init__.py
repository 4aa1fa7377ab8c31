"""Pictures of your own: scores, heat maps, and the folders that hold them."""
