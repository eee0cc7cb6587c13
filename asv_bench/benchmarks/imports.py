"""What importing fastconv costs, over importing NumPy."""


def timeraw_import_numpy():
    return "import numpy"


def timeraw_import_fastconv():
    return "import fastconv"
