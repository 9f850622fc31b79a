"""Cuts the data that ships in models/data from a folder of originals; the same bytes each time.

    python models/make_sample.py ORIGINALS [--to FOLDER]

ORIGINALS holds fashion-mnist/ (the four IDX files and LICENSE.txt, see `flowc data get`),
tabular/ (scikit-learn's diabetes_data_raw.csv.gz and diabetes_target.csv.gz), playground/
(spiral.csv), tinyshakespeare/ (input.txt), and in tabular/ also the census table of UCI
(adult-train.csv.gz, adult-test.csv.gz). The ratings are made up here, in the form of
MovieLens, whose licence does not let them be passed on with a project like this.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import struct
from pathlib import Path

import numpy as np

CLASSES = 10
TRAINING_PER_CLASS = 1200
TEST_PER_CLASS = 200
SHAKESPEARE_BYTES = 200_000
ADULT_ROWS = {"train": 8000, "test": 2000}
RATINGS, USERS, MOVIES, TASTES = 12_000, 200, 400, 3
DIABETES_NAMES = "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6,target"

# Of the unpacked files, so that it does not matter who packed them.
SHA256 = {
    "fashion-mnist/train-images-idx3-ubyte.gz":
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "fashion-mnist/train-labels-idx1-ubyte.gz":
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "fashion-mnist/t10k-images-idx3-ubyte.gz":
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "fashion-mnist/t10k-labels-idx1-ubyte.gz":
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "fashion-mnist/LICENSE.txt":
        "193c9c47fa3dc7e614dcd5f4ea5315d69c0a542b698b64dc34ac5bc4b09d5c3a",
    "tabular/diabetes_data_raw.csv.gz":
        "86badf50b4f9436ddd1e497dc0ae1b93166f8120221ee7dca4634fe849f3be7c",
    "tabular/diabetes_target.csv.gz":
        "244713a551f62a291a354212d8a048adec6cb1244b2bc44e66a0698f5006d26d",
    "tabular/adult-train.csv.gz":
        "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "tabular/adult-test.csv.gz":
        "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074",
    "playground/spiral.csv":
        "330975a399a127449ba3844a3617126f4738225aa91dc6816830aebe7c238b1f",
    "tinyshakespeare/input.txt":
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("originals", type=Path)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "data")
    given = parser.parse_args()
    (given.to / "fashion").mkdir(parents=True, exist_ok=True)
    for path, data in sample(given.originals).items():
        (given.to / path).write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {len(data):>8}  {given.to / path}")


def sample(originals: Path) -> dict[str, bytes]:
    """Every file of the sample, by its path in models/data."""
    return {
        **fashion(originals, "train", "train", TRAINING_PER_CLASS),
        **fashion(originals, "t10k", "test", TEST_PER_CLASS),
        "fashion/LICENSE.txt": original(originals, "fashion-mnist/LICENSE.txt"),
        "diabetes.csv": diabetes(originals),
        "spiral.csv": original(originals, "playground/spiral.csv"),
        "shakespeare.txt": shakespeare(originals),
        "ratings.csv": ratings(),
        **{f"adult-{part}.csv.gz": adult(originals, part) for part in ADULT_ROWS},
    }


def fashion(originals: Path, source: str, name: str, per_class: int) -> dict[str, bytes]:
    """The first `per_class` images of each class, in the order of the original."""
    images = original(originals, f"fashion-mnist/{source}-images-idx3-ubyte.gz")
    labels = original(originals, f"fashion-mnist/{source}-labels-idx1-ubyte.gz")
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    numbers = np.frombuffer(labels, np.uint8, offset=8)
    chosen = np.concatenate([np.flatnonzero(numbers == c)[:per_class] for c in range(CLASSES)])
    chosen.sort()
    return {
        f"fashion/{name}-images.gz": packed_idx(pixels[chosen]),
        f"fashion/{name}-labels.gz": packed_idx(numbers[chosen]),
    }


def packed_idx(array: np.ndarray) -> bytes:
    """An array of u8 as gzipped IDX."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
    return packed(header + array.tobytes())


def packed(data: bytes) -> bytes:
    """Gzipped, without a name or a time in the header."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def diabetes(originals: Path) -> bytes:
    """The raw features and the target, as CSV with names."""
    features = original(originals, "tabular/diabetes_data_raw.csv.gz").decode().splitlines()
    targets = original(originals, "tabular/diabetes_target.csv.gz").decode().split()
    rows = [
        ",".join([*row.split(), f"{float(target):g}"])
        for row, target in zip(features, targets, strict=True)
    ]
    return "\n".join([DIABETES_NAMES, *rows, ""]).encode()


def adult(originals: Path, part: str) -> bytes:
    """The first rows of the census table, as they are."""
    rows = original(originals, f"tabular/adult-{part}.csv.gz").splitlines(keepends=True)
    return packed(b"".join(rows[: ADULT_ROWS[part]]))


def shakespeare(originals: Path) -> bytes:
    """The beginning, up to the end of a speech."""
    text = original(originals, "tinyshakespeare/input.txt")
    return text[: text.rindex(b"\n\n", 0, SHAKESPEARE_BYTES) + 1]


def ratings() -> bytes:
    """Stars from a few hidden tastes, with noise; each user rates a film once at most."""
    chance = np.random.Generator(np.random.Philox(key=20161017))
    of_user, of_movie = chance.random((USERS, TASTES)) - 0.5, chance.random((MOVIES, TASTES)) - 0.5
    pairs = np.sort(chance.permutation(USERS * MOVIES)[:RATINGS])
    user, movie = pairs // MOVIES, pairs % MOVIES
    liking = 8 * (of_user[user] * of_movie[movie]).sum(axis=1)
    stars = 3.5 + liking + 0.4 * (chance.random(RATINGS) - 0.5)
    halves = np.clip(np.rint(2 * stars), 1, 10) / 2
    rows = [f"{u + 1},{m + 1},{r:.1f}" for u, m, r in zip(user, movie, halves, strict=True)]
    return "\n".join(["userId,movieId,rating", *rows, ""]).encode()


def original(originals: Path, path: str) -> bytes:
    """An original, unpacked, and checked to be the one that is meant."""
    data = (originals / path).read_bytes()
    if path.endswith(".gz"):
        data = gzip.decompress(data)
    if hashlib.sha256(data).hexdigest() != SHA256[path]:
        raise SystemExit(f"{originals / path} is not the expected original")
    return data


if __name__ == "__main__":
    main()
