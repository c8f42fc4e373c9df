"""ComfyUI's own pages with the pack; a package, so that its tests share one server and one browser."""
