"""60,000 + 10,000 pictures of clothes, in the files and folders that torchvision reads too."""

from __future__ import annotations

from .collection import Collection
from .download import Remote
from .idx import read_parts
from .sources import Debian, Server

_FOLDER = "FashionMNIST/raw"
_SERVER = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_ARCHIVES = {
    "train-images-idx3-ubyte": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "md5:25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "md5:bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "md5:bb300cfdad3c16e7a12a480ee83cd310",
}

FASHION_MNIST = Collection(
    name="fashion-mnist",
    description="clothes, 28x28 grey, 60,000 + 10,000",
    licence="MIT",
    citation="Xiao, Rasul, Vollgraf, Fashion-MNIST, arXiv 1708.07747, 2017",
    unit=(1, 28, 28),
    classes=(
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    download_mb=31,
    files={
        f"{_FOLDER}/train-images-idx3-ubyte": "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        f"{_FOLDER}/train-labels-idx1-ubyte": "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        f"{_FOLDER}/t10k-images-idx3-ubyte": "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        f"{_FOLDER}/t10k-labels-idx1-ubyte": "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    sources=(
        Server(
            remotes=tuple(Remote(f"{_SERVER}/{name}.gz", digest) for name, digest in _ARCHIVES.items()),
            members={f"{name}.gz": f"{_FOLDER}/{name}" for name in _ARCHIVES},
        ),
        Debian(
            package="dataset-fashion-mnist",
            version="0.0~git20200523.55506a9-1",
            members={f"usr/share/datasets/fashion-mnist/{name}.gz": f"{_FOLDER}/{name}" for name in _ARCHIVES},
        ),
    ),
    read=lambda root: read_parts(root / _FOLDER),
)
