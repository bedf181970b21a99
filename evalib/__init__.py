"""Helper module for notebooks that answer the first sessions of a vision course.

Import it before Keras: it tells TensorFlow to keep its start-up messages to itself, which would
otherwise stand as red boxes in a notebook's stored outputs. A value that is already set is kept.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
