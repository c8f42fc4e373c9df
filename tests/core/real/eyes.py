"""Finders with the models of the kit, behind the protocols of `lumosx_core.eyes`, as a component of somebody else would be.

Faces: CenterFace, with embeddings of dlib. People: around every face, cut out by the selfie network of mediapipe on a crop
and refined by OpenCV's grabCut. Things: shirts only, below the face; which colour the words say is not looked at, so that whose
shirt is meant is left to the evidence.

Legend: H, W = pixels.
"""

import hashlib
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from lumosx_core.data.collect_config import ModelSettings
from lumosx_core.data.components import Components
from lumosx_core.data.relations.colours import to_lab
from lumosx_core.detection.boxes import mask_box
from lumosx_core.eyes import Box, Found, FoundFace
from lumosx_core.files.images import rgb_on_white
from tests.core.real import kit

FACE_SCORE = 0.5
OVERLAP = 0.3  # boxes that overlap more are one face
SHIRT_WORDS = ("shirt", "t-shirt", "top")
SELFIE_SIDE = 256
SURE_INSIDE, SURE_OUTSIDE = 0.85, 0.1  # of the selfie network's answer


class KitFaces:
    """A `FaceFinder`."""

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        """From left to right; embeddings of dlib's network, made 1 long."""
        rgb = np.ascontiguousarray(np.asarray(rgb_on_white(picture)))
        found = []
        for (left, top, right, bottom, score), points in _center_face(rgb):
            box = (max(0.0, left), max(0.0, top), min(rgb.shape[1], right), min(rgb.shape[0], bottom))
            embedding = _embedding(rgb, (left, top, right, bottom))
            found.append(FoundFace(box=box, score=score, points=points, embedding=embedding))
        return sorted(found, key=lambda face: face.box[0] + face.box[2])


class KitPeople:
    """A `PeopleFinder` of those whose face is seen, with masks; and a `Segmenter` that knows what these finders found."""

    def find_people(self, picture: Image.Image) -> list[Found]:
        """From left to right."""
        rgb = np.ascontiguousarray(np.asarray(rgb_on_white(picture)))
        people = []
        for face, mask in _people(rgb):
            if mask.any():
                people.append(Found(box=tuple(map(float, mask_box(mask))), score=face[4], mask=mask))  # type: ignore[arg-type]
        return sorted(people, key=lambda person: person.box[0] + person.box[2])

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        """The mask that was found already, else what grabCut takes for the thing in the box, bool [H, W]."""
        if found.mask is not None:
            return found.mask
        rgb = np.ascontiguousarray(np.asarray(rgb_on_white(picture)))
        guess = np.full(rgb.shape[:2], cv2.GC_BGD, np.uint8)
        left, top, right, bottom = (round(value) for value in found.box)
        guess[top:bottom, left:right] = cv2.GC_PR_FGD
        return _grab_cut(rgb, guess)


class KitShirts:
    """A `PhraseFinder` that knows shirts, of any colour."""

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        """The shirt of everybody whose face's middle is within the part; nothing for other words."""
        if not phrase.lower().split() or phrase.lower().split()[-1] not in SHIRT_WORDS:
            return []
        rgb = np.ascontiguousarray(np.asarray(rgb_on_white(picture)))
        found = []
        for face, mask in _people(rgb):
            x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
            if within is not None and not (within[0] <= x < within[2] and within[1] <= y < within[3]):
                continue
            shirt = _shirt(rgb, mask, (face[0], face[1], face[2], face[3]))
            if shirt.any():
                box: Box = tuple(map(float, mask_box(shirt)))  # type: ignore[assignment]
                found.append(Found(box=box, score=0.6, phrase=phrase, mask=shirt))
        if within is not None:  # whoever's box is asked for stands in its middle
            middle = (within[0] + within[2]) / 2
            found.sort(key=lambda thing: abs((thing.box[0] + thing.box[2]) / 2 - middle))
        return found


def kit_components(settings: ModelSettings) -> Components:
    """What `models.eyes = "tests.core.real.eyes:kit_components"` names."""
    people = KitPeople()
    return Components(
        people=people,
        faces=KitFaces(),
        phrases=KitShirts(),
        masks=people,
        captioner=None,
        digest=f"real-pixel kit on {settings.device}",
    )


_seen: dict[bytes, list[tuple[tuple[float, float, float, float, float], np.ndarray]]] = {}


def _people(rgb: np.ndarray) -> list[tuple[tuple[float, float, float, float, float], np.ndarray]]:
    """(face with score, mask) of everybody; the last picture's are kept, since each phrase is looked for on each person."""
    digest = hashlib.sha256(rgb.tobytes() + str(rgb.shape).encode()).digest()
    if digest not in _seen:
        _seen.clear()
        faces = [row for row, _ in _center_face(rgb)]
        _seen[digest] = list(zip(faces, person_masks(rgb, [(f[0], f[1], f[2], f[3]) for f in faces]), strict=True))
    return _seen[digest]


def person_masks(rgb: np.ndarray, faces: list[Box]) -> list[np.ndarray]:
    """A mask bool [H, W] for the person of every face of the picture uint8 [H, W, 3]; no pixel is two people's."""
    soft = np.stack([_selfie(rgb, face) for face in faces]) if faces else np.zeros((0, *rgb.shape[:2]), np.float32)
    masks = []
    for index, face in enumerate(faces):
        own = soft[index]
        guess = np.full(rgb.shape[:2], cv2.GC_BGD, np.uint8)
        guess[own > SURE_OUTSIDE] = cv2.GC_PR_BGD
        guess[own > 0.5] = cv2.GC_PR_FGD
        guess[own > SURE_INSIDE] = cv2.GC_FGD
        nearer = _nearness(rgb.shape[:2], face)
        for other, box in enumerate(faces):
            if other != index:
                theirs = (soft[other] > 0.5) & (_nearness(rgb.shape[:2], box) > nearer)
                guess[theirs] = cv2.GC_BGD
        left, top, right, bottom = (int(v) for v in _around(face, rgb.shape[:2]))
        part = np.s_[top:bottom, left:right]
        mask = np.zeros(rgb.shape[:2], bool)
        if (guess[part] == cv2.GC_FGD).sum() > 50:
            mask[part] = _grab_cut(np.ascontiguousarray(rgb[part]), np.ascontiguousarray(guess[part]))
        masks.append(_at_face(mask, face))
    return masks


def _nearness(size: tuple[int, int], face: Box) -> np.ndarray:
    """[H, W]: higher, the nearer a pixel is to the axis of a person with this face, in widths of the face."""
    x = np.arange(size[1]) + 0.5
    away = np.abs(x - (face[0] + face[2]) / 2) / (face[2] - face[0])
    return np.broadcast_to(-away, size)


def _around(face: Box, size: tuple[int, int]) -> Box:
    """The part of a picture of `size` (H, W) where the person of a face is: upright, from above the hair down."""
    width, height = face[2] - face[0], face[3] - face[1]
    middle = (face[0] + face[2]) / 2
    return (
        max(0.0, middle - 2.4 * width),
        max(0.0, face[1] - 1.1 * height),
        min(float(size[1]), middle + 2.4 * width),
        min(float(size[0]), face[3] + 6 * height),
    )


def _selfie(rgb: np.ndarray, face: Box) -> np.ndarray:
    """float32 [H, W]: how surely a pixel is a person, by the selfie network on the part around a face; 0 outside of it."""
    left, top, right, bottom = (int(v) for v in _around(face, rgb.shape[:2]))
    part = cv2.resize(rgb[top:bottom, left:right], (SELFIE_SIDE, SELFIE_SIDE), interpolation=cv2.INTER_AREA)
    runner = _selfie_network()
    runner.set_tensor(runner.get_input_details()[0]["index"], (part[None] / 255).astype(np.float32))
    runner.invoke()
    answer = runner.get_tensor(runner.get_output_details()[0]["index"])[0, ..., 0]
    soft = np.zeros(rgb.shape[:2], np.float32)
    soft[top:bottom, left:right] = cv2.resize(answer, (right - left, bottom - top))
    return soft


def _grab_cut(rgb: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """bool [H, W]: the guess (of OpenCV's four kinds) refined by the colours of both sides (Rother 2004)."""
    if not (np.isin(guess, (cv2.GC_BGD, cv2.GC_PR_BGD)).any() and np.isin(guess, (cv2.GC_FGD, cv2.GC_PR_FGD)).any()):
        return np.isin(guess, (cv2.GC_FGD, cv2.GC_PR_FGD))
    cv2.setRNGSeed(0)
    size = rgb.shape[1], rgb.shape[0]
    half = max(1, size[0] // 2), max(1, size[1] // 2)  # four times as fast
    small = cv2.resize(guess, half, interpolation=cv2.INTER_NEAREST)
    pixels = np.ascontiguousarray(cv2.resize(rgb, half, interpolation=cv2.INTER_AREA)[..., ::-1])
    mask, _, _ = cv2.grabCut(pixels, small, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    return cv2.resize(np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32), size) > 0.5


def _at_face(mask: np.ndarray, face: Box) -> np.ndarray:
    """The connected part of a mask that covers most of the face."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    left, top, right, bottom = (max(0, round(v)) for v in face)
    inside = labels[top:bottom, left:right]
    votes = np.bincount(inside[inside > 0], minlength=count)
    return labels == int(votes.argmax()) if votes.any() else np.zeros_like(mask)


def _shirt(rgb: np.ndarray, person: np.ndarray, face: Box) -> np.ndarray:
    """bool [H, W]: the person's pixels below the chin that have the colour of the chest and not of the skin."""
    width, height = face[2] - face[0], face[3] - face[1]
    middle = (face[0] + face[2]) / 2
    chest = np.zeros_like(person)
    top = face[3] + 0.9 * height
    chest[round(top) : round(top + height), max(0, round(middle - 0.5 * width)) : round(middle + 0.5 * width)] = True
    chest &= person
    below = person.copy()
    below[: round(face[3])] = False
    if not chest.any():
        return chest
    lab = to_lab(rgb)
    colour = np.median(lab[chest], 0)
    skin = np.median(
        lab[round(face[1] + 0.5 * height) : round(face[3]), round(middle - 0.3 * width) : round(middle + 0.3 * width)], (0, 1)
    )
    weight = np.array([0.5, 1.0, 1.0])  # folds and light change the lightness most
    own, other = (np.linalg.norm((lab - c) * weight, axis=-1) for c in (colour, skin))
    mask = below & (own < other) & (own < 35)
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)).astype(bool)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    votes = np.bincount(labels[chest & (labels > 0)], minlength=count)
    return labels == int(votes.argmax()) if votes.any() else np.zeros_like(mask)


def _center_face(rgb: np.ndarray) -> list[tuple[tuple[float, float, float, float, float], tuple[tuple[float, float], ...]]]:
    """((left, top, right, bottom, score), five points) of every face: the network's answer decoded as its authors say: a
    heat map at a quarter of the size, the logarithm of height and width, offsets, and points relative to the box."""
    height, width = rgb.shape[:2]
    wide, high = (int(np.ceil(side / 32) * 32) for side in (width, height))
    given = cv2.resize(rgb, (wide, high)).astype(np.float32).transpose(2, 0, 1)[None]
    heat, scale, offset, marks = _center_face_network().run(None, {"input.1": given})
    rows, columns = np.nonzero(heat[0, 0] > FACE_SCORE)
    found = []
    for row, column in zip(rows, columns, strict=True):
        h, w = np.exp(scale[0, :, row, column]) * 4
        top = (row + offset[0, 0, row, column] + 0.5) * 4 - h / 2
        left = (column + offset[0, 1, row, column] + 0.5) * 4 - w / 2
        points = marks[0, :, row, column].reshape(5, 2) * (h, w) + (top, left)  # y before x
        sx, sy = width / wide, height / high
        box = (float(left * sx), float(top * sy), float((left + w) * sx), float((top + h) * sy), float(heat[0, 0, row, column]))
        found.append((box, tuple((float(x * sx), float(y * sy)) for y, x in points)))
    found.sort(key=lambda face: -face[0][4])
    kept: list = []
    for face in found:
        if all(_overlap(face[0], other[0]) < OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    both = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return both / (areas - both)


def _embedding(rgb: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """float32 [128] of length 1."""
    dlib = kit.dlib()
    predictor, net = _face_net()
    # dlib's predictor was trained on boxes of its own detector: squares over brows to chin
    width, height = box[2] - box[0], box[3] - box[1]
    side, x, y = 0.9 * max(width, height), (box[0] + box[2]) / 2, box[1] + 0.58 * height
    square = dlib.rectangle(round(x - side / 2), round(y - side / 2), round(x + side / 2), round(y + side / 2))
    answer = np.array(net.compute_face_descriptor(rgb, predictor(rgb, square)), np.float32)
    return answer / np.linalg.norm(answer)


@lru_cache(maxsize=1)
def _center_face_network():  # noqa: ANN202 -- a library's object
    import onnx
    import onnxruntime
    from onnx.tools.update_model_dims import update_inputs_outputs_dims

    model = onnx.load(str(kit.CENTER_FACE))  # it declares one small size, but is made of convolutions
    inputs = {node.name: [d.dim_value for d in node.type.tensor_type.shape.dim] for node in model.graph.input} | {
        "input.1": ["B", 3, "H", "W"]
    }
    outputs = {node.name: ["B", count, "h", "w"] for node, count in zip(model.graph.output, (1, 2, 2, 10), strict=True)}
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = update_inputs_outputs_dims(model, inputs, outputs)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def _face_net():  # noqa: ANN202
    dlib = kit.dlib()
    return dlib.shape_predictor(str(kit.LANDMARKS)), dlib.face_recognition_model_v1(str(kit.FACE_NET))


@lru_cache(maxsize=1)
def _selfie_network():  # noqa: ANN202
    return kit.interpreter(kit.SELFIE)
