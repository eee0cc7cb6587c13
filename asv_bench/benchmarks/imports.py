"""What importing fastconv costs, over importing NumPy."""


def timeraw_import_numpy():
    return "import numpy"


timeraw_import_numpy.pretty_name = "import numpy"


def timeraw_import_fastconv():
    return "import fastconv"


timeraw_import_fastconv.pretty_name = "import fastconv"
