"""The site: reads the environment, knows the embedded services, wires the app `backups` into a Django project."""

import atexit
import gc

# For every process of ours: this is imported first. Imports make 150,000 objects, which stay; Python's collector would look
# through them again and again, once more at the end, where there is no garbage: a fifth of the start of a command.
# https://docs.python.org/3/library/gc.html#gc.set_threshold
gc.set_threshold(50_000)
atexit.register(gc.freeze)
