"""The same grids trained in other ways: what Chromatune is held against."""
