"""Products that wear photographs: as material, as backdrop and as defects, taken by cameras that are not perfect.

Unlike all else that is drawn, they follow from library code (JPEG, splines), whose versions differ in the last digit.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stackclip.errors import UsageError
from stackclip.synthetic.body import Body
from stackclip.synthetic.damage import Damage, Defect, Spot, away_from, on_body
from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.dress import Colour
from stackclip.synthetic.fields import Field, between, lerp, noise, soft
from stackclip.synthetic.patterns import Pattern, Texture
from stackclip.synthetic.product import DARK_PART, PALE_PART, brightness
from stackclip.synthetic.scene import Pair, Scene, Subtlety, pair_of, scene_of

__all__ = ["PASTED", "PHOTOGRAPHED", "Camera", "Photograph", "draw_camera", "draw_worn"]

Photograph: TypeAlias = NDArray[np.uint8]
"""A picture (H, W, 3)."""
PHOTOGRAPHED = "photographed"
"""The name of the pattern of what wears a photograph."""
PASTED = "pasted"
"""The kind of a defect that is a blot of another photograph, or of another place of the same."""
_SIDE = 224  # pixels of a crop, which two frame units show
_REACH = 1.3  # frame units from the middle that a crop covers; beyond, it is mirrored


@dataclass(frozen=True, slots=True)
class _Crop:
    """A square of a photograph (3, N, N) in [0, 1], laid over the frame and mirrored beyond it."""

    pixels: Field

    @property
    def mean(self) -> Colour:
        """Its mean colour, of no channel near black, so that what it wears can be told by its share of it."""
        red, green, blue = np.maximum(self.pixels.mean((1, 2)), 0.08).tolist()
        return red, green, blue

    def at(self, x: Field, y: Field) -> Field:
        """Its colours at frame coordinates (S, S): (3, S, S)."""
        from scipy.ndimage import map_coordinates

        side = self.pixels.shape[1]
        places = [(coordinate + _REACH) * (side / (2 * _REACH)) - 0.5 for coordinate in (y, x)]
        return np.stack([map_coordinates(plane, places, order=1, mode="mirror") for plane in self.pixels])

    def weave(self, rng: Generator, u: Field, v: Field, edge: float) -> Texture:
        """The crop as a material whose first colour is its mean."""
        return Texture(0.0, self.at(u, v) / np.array(self.mean, np.float32)[:, None, None], 0.0, between(rng, 0.0, 0.4))


def draw_worn(
    photographs: Sequence[Photograph], draws: Generator, *, shapes: Sequence[str], kinds: Sequence[str], size: int = 112
) -> Pair:
    """A product of one of `shapes` that wears a photograph, good and with a defect of one of `kinds` or PASTED.

    Half of those that fill no frame lie on another photograph. Half of the defects are smaller and fainter than those
    that are hard to miss. Both pictures are taken by one camera (`draw_camera`), each with noise of its own. What is
    pasted is seen as far as the photographs differ: of one hue alone, it may not be seen at all. Raises UsageError
    without a photograph, and for one that is no (H, W, 3) of uint8.
    """
    _check(photographs)
    shape = "surface" if draws.random() < 0.5 else shapes[int(draws.integers(len(shapes)))]
    scene = scene_of("plain", shape, seed=int(draws.integers(2**53)))
    worn, other = (_crop(photographs, draws) for _ in range(2))
    if shape != "surface" and draws.random() < 0.5:
        scene = replace(scene, lamp=replace(scene.lamp, backdrop=_crop(photographs, draws).at))
    kind = PASTED if draws.random() < 0.3 else kinds[int(draws.integers(len(kinds)))]
    faint = draws.random() < 0.5
    subtlety = Subtlety(draws.uniform(0.5, 1.0), draws.uniform(0.5, 1.0)) if faint else Subtlety()
    defect = _pasted(other, draws.uniform(0.5, 1.0)) if kind == PASTED else DEFECTS[kind]
    pair = pair_of(_dressed(scene, worn), kind, defect, size=size, subtlety=subtlety)
    camera = draw_camera(draws)
    good, defective = (camera.take(picture, draws) for picture in (pair.good, pair.defective))
    return replace(pair, good=good, defective=defective, colour=PHOTOGRAPHED)


def _check(photographs: Sequence[Photograph]) -> None:
    if not len(photographs):
        raise UsageError("nothing can be worn: wanted one photograph or more, and none was given")
    for number, pixels in enumerate(photographs, start=1):
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            found = f"{pixels.dtype} of shape {pixels.shape}"
            raise UsageError(f"photograph {number} of {len(photographs)} is {found}: wanted RGB, uint8 of (H, W, 3)")


def _dressed(scene: Scene, worn: _Crop) -> Scene:
    """The scene with a product that wears a crop, and parts that differ from it."""
    contrast = PALE_PART if brightness(worn.mean) < 0.5 else DARK_PART
    pattern = Pattern(PHOTOGRAPHED, (), "", worn.weave)
    product = replace(scene.product, pattern=pattern, first=worn.mean, second=worn.mean, contrast=contrast)
    return replace(scene, product=product)


def _crop(photographs: Sequence[Photograph], draws: Generator) -> _Crop:
    """A square of one of the photographs, of a sixth of its shorter side up to all of it, mirrored half of the time."""
    from PIL import Image

    pixels = photographs[int(draws.integers(len(photographs)))]
    shorter = min(pixels.shape[:2])
    side = int(shorter * np.exp(draws.uniform(np.log(min(1.0, max(1 / 6, _SIDE / 2 / shorter))), 0.0)))
    top, left = (int(draws.integers(length - side + 1)) for length in pixels.shape[:2])
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    values = np.asarray(square.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float32).transpose(2, 0, 1) / 255
    return _Crop(np.ascontiguousarray(values[:, :, ::-1] if draws.random() < 0.5 else values))


def _pasted(other: _Crop, opacity: float) -> Defect:
    """A blot of a crop over the product."""

    def paste(body: Body, site: Spot) -> Damage:
        centre, radius = site.inside(0.10), site.extent(0.10, 0.26)
        rough = radius * 0.9 * noise(site.rng, site.x, site.y, radius * between(site.rng, 0.5, 1.2))
        blot = soft(away_from(site, centre) - radius + rough, 0.02, -0.02)
        cover = on_body(body, blot, site.edge)
        return Damage(replace(body, colour=lerp(body.colour, other.at(site.x, site.y), opacity * cover)), cover)

    return paste


@dataclass(frozen=True, slots=True)
class Camera:
    """What a camera makes of what it sees: blur and sharpening (pixels, share), contrast, noise in levels, JPEG."""

    blur: float
    sharpening: float
    contrast: float
    gamma: float
    noise: float
    quality: int | None

    def take(self, picture: NDArray[np.uint8], draws: Generator) -> NDArray[np.uint8]:
        """The picture (S, S, 3) as this camera takes it."""
        from PIL import Image
        from scipy.ndimage import gaussian_filter

        light: NDArray[Any] = picture.astype(np.float32)
        if self.blur:
            light = gaussian_filter(light, (self.blur, self.blur, 0))
        if self.sharpening:
            light = light + self.sharpening * (light - gaussian_filter(light, (1.0, 1.0, 0)))
        light = np.float32(255) * np.clip(128 / 255 + (light / 255 - 128 / 255) * self.contrast, 0, 1) ** self.gamma
        if self.noise:
            light = light + self.noise * draws.standard_normal(light.shape, np.float32)
        taken: NDArray[np.uint8] = np.clip(np.rint(light), 0, 255).astype(np.uint8)
        if self.quality is None:
            return taken
        file = io.BytesIO()
        Image.fromarray(taken).save(file, "JPEG", quality=self.quality)
        return np.asarray(Image.open(file))


def draw_camera(draws: Generator) -> Camera:
    """A camera whose faults are each there or not."""
    return Camera(
        blur=draws.uniform(0.3, 1.2) if draws.random() < 0.4 else 0.0,
        sharpening=draws.uniform(0.3, 1.5) if draws.random() < 0.3 else 0.0,
        contrast=draws.uniform(0.6, 1.2),
        gamma=draws.uniform(0.75, 1.35),
        noise=draws.uniform(1.0, 7.0) if draws.random() < 0.5 else 0.0,
        quality=int(draws.integers(35, 96)) if draws.random() < 0.5 else None,
    )
