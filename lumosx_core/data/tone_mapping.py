"""From high dynamic range and wide gamut to SDR BT.709: what a picture model and an SDR screen expect.

The way, each step in float32:

1. Signal to light in cd/m2. PQ: the EOTF of SMPTE ST 2084 (ITU-R BT.2100 table 4). HLG: the inverse OETF and the OOTF of
   BT.2100 table 5 for a display of 1000 cd/m2 (system gamma 1.2).
2. Highlights are compressed by the EETF of ITU-R BT.2390 section 5.4.1 from 1000 cd/m2, what nearly all HDR is graded for,
   to 203 cd/m2, the HDR reference white of BT.2408: white paper in HDR becomes nearly SDR white, what is darker than about
   86 cd/m2 keeps its light. It is applied to the largest of R, G, B, and the others are scaled with it: hues stay.
3. BT.2020 (or P3) primaries to BT.709 by the matrix that their chromaticities give; what lies outside is cut off.
4. Light to signal by the inverse of BT.1886 (gamma 2.4), as BT.2087 has it for pictures made for displays.

SDR with wide primaries takes steps 3 and 4 alone.
"""

from functools import cache

import numpy as np

MASTERING_PEAK = 1000.0  # cd/m2, of the display that the picture was made on
SDR_WHITE = 203.0  # cd/m2, BT.2408 table 1
DISPLAY_GAMMA = 2.4  # BT.1886
LEVELS = 65536  # of a 16 bit signal

# SMPTE ST 2084: signal E' = ((C1 + C2 Y^M1) / (1 + C3 Y^M1))^M2, Y = light / 10000 cd/m2.
PQ_M1, PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
PQ_PEAK = 10000.0
# BT.2100 table 5.
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
HLG_GAMMA = 1.2
LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)

# Chromaticities x, y of red, green, blue (BT.709, BT.2020, SMPTE EG 432-1); white is D65 for all.
PRIMARIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = (0.3127, 0.3290)


def tone_mapped(signal: np.ndarray, transfer: str, primaries: str = "bt2020") -> np.ndarray:
    """One picture as SDR BT.709.

    signal: uint16 [H, W, 3], R'G'B' over the full range of 16 bits. transfer: "pq", "hlg", or "" for SDR with other
    primaries. primaries: "bt2020", "p3" or "bt709". Returns uint8 [H, W, 3] R'G'B', full range.
    """
    if transfer == "pq":
        light = compressed(_pq_table()[signal])
    elif transfer == "hlg":
        scene = _hlg_table()[signal]
        luminance = scene @ LUMA_2020
        light = compressed(scene * (MASTERING_PEAK * luminance ** (HLG_GAMMA - 1))[..., None])
    else:
        light = _sdr_table()[signal]
    if primaries != "bt709":
        light = light @ _to_bt709(primaries)
    return np.rint(255 * np.clip(light, 0, 1) ** np.float32(1 / DISPLAY_GAMMA)).astype(np.uint8)


def compressed(light: np.ndarray) -> np.ndarray:
    """Step 2: float32 [..., 3] in cd/m2 to light with SDR white at 1."""
    largest = np.maximum(light.max(axis=-1, keepdims=True), np.float32(1e-4))
    peak, white = (float(signal) for signal in pq_signal(np.array([MASTERING_PEAK, SDR_WHITE])))
    signal = np.minimum(pq_signal(largest) / peak, 1)
    most = white / peak
    knee = 1.5 * most - 0.5
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    mapped = pq_light(np.where(signal < knee, signal, curve) * peak)
    return (light * (mapped / (largest * SDR_WHITE))).astype(np.float32)


def pq_light(signal: np.ndarray) -> np.ndarray:
    """EOTF of ST 2084: signal in 0..1 to cd/m2."""
    power = signal ** (1 / PQ_M2)
    return PQ_PEAK * (np.maximum(power - PQ_C1, 0) / (PQ_C2 - PQ_C3 * power)) ** (1 / PQ_M1)


def pq_signal(light: np.ndarray) -> np.ndarray:
    """Inverse EOTF of ST 2084: cd/m2 to signal in 0..1."""
    power = (light / PQ_PEAK) ** PQ_M1
    return ((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power)) ** PQ_M2


def hlg_scene(signal: np.ndarray) -> np.ndarray:
    """Inverse OETF of HLG: signal in 0..1 to scene light in 0..1."""
    bright = (np.exp((np.maximum(signal, 0.5) - HLG_C) / HLG_A) + HLG_B) / 12
    return np.where(signal <= 0.5, signal**2 / 3, bright)


@cache
def _pq_table() -> np.ndarray:
    return pq_light(np.arange(LEVELS) / (LEVELS - 1)).astype(np.float32)


@cache
def _hlg_table() -> np.ndarray:
    return hlg_scene(np.arange(LEVELS) / (LEVELS - 1)).astype(np.float32)


@cache
def _sdr_table() -> np.ndarray:
    return ((np.arange(LEVELS) / (LEVELS - 1)) ** DISPLAY_GAMMA).astype(np.float32)


def _to_xyz(primaries: str) -> np.ndarray:
    """Matrix [3, 3] from linear RGB (columns) to CIE XYZ with Y = 1 at white."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in PRIMARIES[primaries]]).T
    white = np.array([D65[0] / D65[1], 1, (1 - D65[0] - D65[1]) / D65[1]])
    return columns * np.linalg.solve(columns, white)


@cache
def _to_bt709(primaries: str) -> np.ndarray:
    """Matrix [3, 3] for pixels as rows: linear RGB @ matrix."""
    return np.linalg.solve(_to_xyz("bt709"), _to_xyz(primaries)).T.astype(np.float32)
