"""The application with libraries and model loaded, for `gunicorn --preload`: a killed worker is replaced at once.

In service nothing is preloaded (gunicorn.conf.py says why). For killing hundreds of workers in minutes, loading is done
once, in the master, by one thread (OMP_NUM_THREADS=1), and no network runs there.
"""

from webapp.extensions import db
from webapp.first_looks import get_first_look
from webapp.inference import get_screener
from wsgi import app

__all__ = ["app"]

with app.app_context():
    get_screener()
    get_first_look(None)
    db.engine.dispose()  # a connection must not be shared with the workers
