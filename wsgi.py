"""The application that a WSGI server loads: `gunicorn wsgi:app`, `flask --app wsgi`."""

import os
import sys

from webapp import create_app
from webapp.config import ConfigError

# What gunicorn takes for "cannot start"; at any other status it would start the worker again and again.
CANNOT_START = 3

# Photos, answers, exports and models that this process or a child of it writes are for its own user alone.
os.umask(0o077)
try:
    app = create_app()
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(CANNOT_START)
