"""Who owns what in a caption: the readers, what they return, and how their phrases are held to the caption's own words."""
