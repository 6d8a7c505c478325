"""Other implementations of the published grids, which Chromatune is compared with."""
