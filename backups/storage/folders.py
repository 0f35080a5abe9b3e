"""A bucket as folders. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html: Delimiter"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backups.types import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True)
class FolderPage:
    """Folders (prefixes with a slash at their end) and objects directly below a prefix; `after` asks for the next page, "" on the
    last.
    """

    folders: tuple[str, ...]
    objects: tuple[StoredObject, ...]
    after: str


def folder_page(client: "S3Client", *, bucket: str, prefix: str, size: int, after: str) -> FolderPage:
    """One page, by one request. Raises boto3's errors."""
    given: dict[str, Any] = {"ContinuationToken": after} if after else {}
    page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=size, **given)
    objects = tuple(
        StoredObject(
            key=item["Key"], size_bytes=item["Size"], modified_at=item["LastModified"], etag=item.get("ETag", "").strip('"')
        )
        for item in page.get("Contents", [])
    )
    folders = tuple(item["Prefix"] for item in page.get("CommonPrefixes", []))
    return FolderPage(folders, objects, page.get("NextContinuationToken", "") if page.get("IsTruncated") else "")
