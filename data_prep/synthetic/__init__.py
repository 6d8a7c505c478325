"""Drawn pictures, as a source beside folders and zips."""

from __future__ import annotations

from pathlib import PurePosixPath

from data_prep.settings import PrepareSettings
from data_prep.sources.image_files import ImageSource, Kind, Listing
from data_prep.synthetic.faces import draw_face
from data_prep.synthetic.fruits import CATEGORIES, draw_fruit

_PICTURES_PER_SUBJECT = 20
_MIN_SUBJECTS = 10


class SyntheticSource(ImageSource):
    """Draws its pictures when they are read; the same seed, size and count give the same bytes."""

    kind: Kind = "synthetic"

    def __init__(self, settings: PrepareSettings) -> None:
        self._settings = settings
        self._count = settings.count or 0
        drawn = f"{self._count} pictures drawn with seed {settings.seed}"
        self.location = f"{settings.dataset}, {drawn}"

    def list(self) -> Listing:
        groups = list(CATEGORIES)
        if self._settings.dataset == "synthetic-faces":
            subjects = max(_MIN_SUBJECTS, self._count // _PICTURES_PER_SUBJECT)
            groups = [f"s{number + 1:02d}" for number in range(subjects)]
        names = [
            f"{groups[i % len(groups)]}/{i // len(groups) + 1:05d}.ppm" for i in range(self._count)
        ]
        return Listing(names=names).sort()

    def read(self, name: str) -> bytes:
        """Return the picture as PPM: plain pixels, so that its digest depends on no encoder."""
        path = PurePosixPath(name)
        group, number = path.parent.name, int(path.stem)
        seed, size = self._settings.seed, self._settings.size
        if self._settings.dataset == "synthetic-faces":
            picture = draw_face(seed, int(group[1:]), number, size)
        else:
            picture = draw_fruit(seed, group, number, size)
        return f"P6\n{size} {size}\n255\n".encode() + picture.tobytes()
