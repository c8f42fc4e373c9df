"""How puppets and the camera move: a pose for every frame."""

import math
from dataclasses import dataclass, replace

import numpy as np

from lumosx_core.puppets.draw import Pose
from lumosx_core.puppets.painter import UNITS_PER_PIXEL

ACTIONS = ("stand", "walk", "wave", "jump", "turn", "dance")
PANS = ("none", "left", "right")
PERIOD = 16.0  # frames of one cycle of waving, walking, dancing, jumping


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a puppet starts, in units of the scene, how large it is, what it does, and the phase of its cycle."""

    foot_x: float
    foot_y: float
    scale: float
    action: str
    direction: int  # -1 walks and looks left, 1 right
    phase: float


def sample_placements(rng: np.random.Generator, count: int, width: float) -> list[Placement]:
    """Places for `count` (1 to 4) puppets from left to right over a scene `width` units wide."""
    centres = {1: (0.5,), 2: (0.26, 0.74), 3: (0.175, 0.5, 0.825), 4: (0.13, 0.377, 0.623, 0.87)}[count]
    jitter = {1: 6.0, 2: 2.0, 3: 1.0, 4: 1.0}[count]
    scale = {1: 1.0, 2: 1.0, 3: 0.86, 4: 0.86}[count]
    return [
        Placement(
            foot_x=centre * width + rng.uniform(-jitter, jitter),
            foot_y=60.0 + rng.uniform(-1, 1),
            scale=scale,
            action=ACTIONS[int(rng.integers(len(ACTIONS)))],
            direction=int(rng.choice([-1, 1])),
            phase=float(rng.uniform(0, 1)),
        )
        for centre in centres
    ]


def pose_at(place: Placement, frame: int) -> Pose:
    """The pose of a puppet in that frame."""
    cycle = 2 * math.pi * (frame / PERIOD + place.phase)
    pose = Pose(foot_x=place.foot_x, foot_y=place.foot_y, scale=place.scale, turn=0.25 * place.direction)
    if place.action == "walk":
        start = place.foot_x - 2.5 * place.direction
        step = math.sin(cycle)
        return replace(
            pose,
            foot_x=start + 0.3 * place.direction * frame,
            turn=0.8 * place.direction,
            stride=step,
            left_arm=0.3 + 0.3 * step,
            right_arm=0.3 - 0.3 * step,
            bob=UNITS_PER_PIXEL * round(abs(step)),
        )
    if place.action == "wave":
        lift = 2.2 + 0.45 * math.sin(cycle)
        return replace(pose, right_arm=lift) if place.direction > 0 else replace(pose, left_arm=lift)
    if place.action == "jump":
        height = 5.0 * max(0.0, math.sin(cycle))
        return replace(pose, foot_y=place.foot_y - height, left_arm=0.4 + 0.16 * height, right_arm=0.4 + 0.16 * height)
    if place.action == "turn":
        return replace(pose, turn=math.sin(cycle))
    if place.action == "dance":
        sway = math.sin(cycle)
        lift = UNITS_PER_PIXEL * round(0.5 + 0.5 * sway)
        return replace(pose, bob=lift, left_arm=1.2 + 0.6 * sway, right_arm=1.2 - 0.6 * sway, turn=0.5 * sway)
    return pose


def camera_x(pan: str, frame: int) -> float:
    """How far the camera has moved to the right by that frame, in units of the scene."""
    return {"none": 0.0, "left": -0.75, "right": 0.75}[pan] * frame
