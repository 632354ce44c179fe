"""Collections of labelled pictures as people download them, by the name of their format; several become one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml.data.listing import LeftOut, Source, SourceImage, sorted_source
from ml.data.sources_folders import read_folders, read_msid
from ml.data.sources_ham10000 import read_ham10000
from ml.data.sources_isic import read_isic2019, read_isic2020, read_isic2024
from ml.data.sources_msld import read_msld_folds
from ml.errors import DatasetError
from ml.labels import Taxonomy

_READERS: dict[str, Callable[[Path, Taxonomy], Source]] = {
    "ham10000": read_ham10000,
    "isic2019": read_isic2019,
    "isic2020": read_isic2020,
    "isic2024": read_isic2024,
    "msid": read_msid,
    "msld-folds": read_msld_folds,
}
FORMATS = (*_READERS, "folders")
_ARCHIVE = ("ham10000", "isic2019", "isic2020", "isic2024")
"""Formats whose image, lesion and patient ids are those of the ISIC archive, and so mean the same in each."""


@dataclass(frozen=True)
class SourceFolder:
    """A folder and how it is laid out: one of `FORMATS`."""

    folder: Path
    format: str


def read_source(folder: Path, source_format: str, taxonomy: Taxonomy, *, group_column: str | None = None) -> Source:
    """List a source's images. `group_column` names the column of a groups table for `folders`.

    Raises DatasetError where the folder cannot be read as that format or holds no usable image.
    """
    if source_format not in FORMATS:
        raise DatasetError(f"Unknown source format '{source_format}'; known ones: {', '.join(FORMATS)}.")
    if not folder.is_dir():
        raise DatasetError(f"The source folder {folder} does not exist.")
    try:
        if source_format == "folders":
            source = read_folders(folder, taxonomy, group_column)
        else:
            source = _READERS[source_format](folder, taxonomy)
    except OSError as error:
        raise DatasetError(f"Cannot read the source {folder}: {error.strerror or 'reading failed'}.") from error
    if not source.images:
        reasons = sorted({entry.reason for entry in source.left_out})[:3]
        told = f" Left out, for example: {'; '.join(reasons)}." if reasons else ""
        raise DatasetError(f"{folder} holds no labelled image that can be used as '{source_format}'.{told}")
    return source


def read_sources(sources: Sequence[SourceFolder], taxonomy: Taxonomy, *, group_column: str | None = None) -> Source:
    """List several sources as one. A picture that an earlier source of the ISIC archive lists already is left out.

    Names and lesions of other formats mean nothing outside of their folder, so they are numbered by source.
    Raises DatasetError as `read_source`, and where only some of the sources come with a split or folds of their own.
    """
    if len(sources) == 1:
        return read_source(sources[0].folder, sources[0].format, taxonomy, group_column=group_column)
    images: list[SourceImage] = []
    left_out: list[LeftOut] = []
    tables: dict[str, str] = {}
    listed: set[str] = set()
    for number, entry in enumerate(sources, start=1):
        source = read_source(entry.folder, entry.format, taxonomy, group_column=group_column)
        for image in source.images:
            if entry.format not in _ARCHIVE:
                origin = image.augmented_from and f"{number}/{image.augmented_from}"
                lesion = f"{number}/{image.lesion_id}"
                image = replace(image, name=f"{number}/{image.name}", lesion_id=lesion, augmented_from=origin)
            elif image.name in listed:
                left_out.append(LeftOut(f"{number}/{image.name}", "listed by an earlier source already"))
                continue
            listed.add(image.name)
            images.append(image)
        left_out += [LeftOut(f"{number}/{item.item}", item.reason) for item in source.left_out]
        tables |= {f"{number}/{name}": digest for name, digest in source.tables.items()}
    if len({(bool(image.split), len(image.folds)) for image in images}) > 1:
        raise DatasetError(
            "Some of the sources come split and others do not, so they cannot be merged; prepare them one by one, "
            "or put the pictures of each class into one folder."
        )
    return sorted_source(images, left_out, tables)
