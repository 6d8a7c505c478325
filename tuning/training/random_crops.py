"""Random cuts of pictures on the device where they are used: geometry only, never colour."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def random_crops(planes: Tensor, *, flip: bool, zoom: float, shift: float, rotate: float) -> Tensor:
    """Cut every picture of (n, c, H, W) anew and scale the cut back to (H, W), all planes alike.

    The cut's side is drawn from [`zoom`, 1] of the picture's, its place from all that fit; it is
    then moved by up to `shift` of the side in either direction and turned by up to `rotate` degrees
    either way about its middle; beyond its edges the picture is mirrored. With `flip`, every second
    one on average is mirrored. Draws come from torch's global generator of the device.
    """
    count, device = len(planes), planes.device
    side = 1 - (1 - zoom) * torch.rand(count, device=device)
    # In affine_grid's units the picture reaches from -1 to 1, so its side is 2.
    room = (1 - side + 2 * shift)[:, None]
    centre = (2 * torch.rand(count, 2, device=device) - 1) * room
    mirrored = torch.rand(count, device=device) < 0.5 if flip else torch.zeros_like(side).bool()
    angle = (2 * torch.rand(count, device=device) - 1) * math.radians(rotate)
    across = torch.where(mirrored, -side, side)
    cuts = torch.zeros(count, 2, 3, device=device)
    cuts[:, 0, 0], cuts[:, 0, 1] = across * angle.cos(), -side * angle.sin()
    cuts[:, 1, 0], cuts[:, 1, 1] = across * angle.sin(), side * angle.cos()
    cuts[:, :, 2] = centre
    grid = F.affine_grid(cuts, [*planes.shape], align_corners=False)
    return F.grid_sample(planes, grid, padding_mode="reflection", align_corners=False)
