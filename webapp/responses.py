"""Headers that every response carries, photos as responses, and what refusals share."""

import errno

from flask import Flask, Response, abort, current_app, make_response, request

from ml.explain import PICTURE_SIDE, lay_over
from ml.images import decode, encode_jpeg
from webapp.config import Config
from webapp.models.screening import PhotoRow
from webapp.photos import PhotoStore

# After how many seconds to come back where nothing better is known.
RETRY_SECONDS = 10
# Somebody has to make room first.
FULL_RETRY_SECONDS = 300
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # blob: previews of photos before they are sent
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

# The upload page's camera button asks the system's camera application, which this does not concern.
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "bluetooth", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
        "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
    )
)  # fmt: skip


def jpeg(store: PhotoStore, name: str, *, small: bool) -> Response:
    """A kept photo as a response. 404 where the file is gone."""
    try:
        content = store.open(name, small=small)
    except FileNotFoundError:
        abort(404)
    return shown(content, "photo.jpg")


def heatmap_jpeg(store: PhotoStore, photo: PhotoRow) -> Response:
    """A kept photo with its heatmap laid over it, as a response. 404 where photo or heatmap are gone or never were."""
    if photo.heatmap is None:
        abort(404)
    try:
        pixels = decode(store.open(photo.name), max_side=PICTURE_SIDE)
    except FileNotFoundError:
        abort(404)
    return shown(encode_jpeg(lay_over(pixels, decode(photo.heatmap)[..., 0])), "heatmap.jpg")


def shown(content: bytes, name: str) -> Response:
    """A JPEG to be shown in a page, under a name for whoever saves it."""
    response = make_response(content)
    response.headers["Content-Type"] = "image/jpeg"
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    return response


def drain() -> None:
    """Read and drop the rest of a refused upload, within a limit: a browser shows our answer only after sending it."""
    stream = request.environ["wsgi.input"]
    left = min(request.content_length or 0, 4 * current_app.config["MAX_CONTENT_LENGTH"])
    try:
        while left > 0 and (chunk := stream.read(min(left, 65536))):
            left -= len(chunk)
    except OSError:
        pass  # the sender has gone away


def init_headers(app: Flask, config: Config) -> None:
    """Send the security headers with every response; only static files may be kept by caches."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["X-Permitted-Cross-Domain-Policies"] = "none"
        # Result addresses hold their token: no other site is told where a visitor comes from, while forms here still
        # show that they come from here.
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = PERMISSIONS_POLICY
        if request.path.startswith("/api/") and (response.mimetype or "").endswith("json"):
            headers.setdefault("Content-Disposition", 'attachment; filename="api.json"')  # data, and never a page
        if request.endpoint != "static":
            headers["Cache-Control"] = "private, no-store"
            if request.path != "/":
                headers["X-Robots-Tag"] = "noindex"
        if config.session_cookie_secure:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        return response
