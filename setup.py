"""Builds the kernels once per instruction set; everything else is in pyproject.toml.

Environment variables of the build:

FASTCONV_NO_OPENMP=1   build without OpenMP (one thread). Without it a missing OpenMP is an error.
FASTCONV_DEBUG=1       checked build: bounds and wraparound checks on, no optimisation.
FASTCONV_BUILD_SIMD=v3 build for this instruction set alone, or for several (v3,v4).

The compiler is GCC or Clang: on Windows the clang-cl of PATH, beside which its libomp lies, in
place of Microsoft's, which lacks vector types.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("FASTCONV_DEBUG", "0") not in ("", "0")
OPENMP = os.environ.get("FASTCONV_NO_OPENMP", "0") in ("", "0")
MACOS = sys.platform == "darwin"
WINDOWS = sys.platform == "win32"
CLANG_CL = shutil.which("clang-cl")
ENGINE = Path("fastconv", "engine")
# What the last build was made with: flags depend on the environment, which has no time stamp.
FLAGS = Path("build", "flags")
# What a cross-build is for, as in linux-aarch64; the name is CPython's.
TARGET = os.environ.get("_PYTHON_HOST_PLATFORM")

# The instruction sets, by the suffix of their module.
LEVELS = {
    "x86_64": {
        "v2": ["-march=x86-64-v2"],
        "v3": ["-march=x86-64-v3"],
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    },
    # GCC loads weights far ahead there, or keeps what it will load again, and sums go to the stack
    # for it; Clang has no such flags.
    "aarch64": {
        "neon": [] if MACOS or WINDOWS else ["-fno-schedule-insns", "-fno-predictive-commoning"],
    },
}
MACHINES = {"AMD64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "ARM64": "aarch64"}

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "freethreading_compatible": True,
}

# Sums are contracted to FMAs but never reordered: NaN, inf and signed zero behave.
OPTIMISE = ["-O1", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0"]
CFLAGS = [
    *OPTIMISE,
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-unused-function",
    "-Wno-psabi",
]
# Stages are inlined where they are called, whatever their size: sums stay in registers.
INLINE = "inline" if DEBUG else "inline __attribute__((always_inline))"
OPENMP_CFLAGS = ["-Xpreprocessor", "-fopenmp"] if MACOS else ["-fopenmp"]
OPENMP_LIBS = ["-lomp"] if MACOS else ["-fopenmp"]
# What __builtin_cpu_supports reads, which other linkers than Microsoft's find by themselves.
CPU_LIBS = []

MACHINE = TARGET.rpartition("-")[2] if TARGET else platform.machine()
MACHINE = MACHINES.get(MACHINE, MACHINE)
if MACHINE not in LEVELS:
    sys.exit(f"fastconv supports x86-64 and aarch64, not {MACHINE!r}")
BUILT = [level for level in os.environ.get("FASTCONV_BUILD_SIMD", "").split(",") if level]
if not set(BUILT).issubset(LEVELS[MACHINE]):
    sys.exit(
        f"FASTCONV_BUILD_SIMD is {','.join(BUILT)}, expected some of {','.join(LEVELS[MACHINE])}"
    )
BUILT = BUILT or list(LEVELS[MACHINE])
if MACOS:
    # A Python for both kinds of Macs would build for both, but instruction sets are of one.
    os.environ.setdefault("ARCHFLAGS", f"-arch {platform.machine()}")
if WINDOWS:
    if CLANG_CL is None:
        sys.exit("fastconv: clang-cl is not on PATH; install LLVM, or Visual Studio's Clang")
    OPENMP_LIBS = [str(Path(CLANG_CL).parents[1] / "lib" / "libomp.lib")]
    if MACHINE == "x86_64":
        command = [CLANG_CL, "/clang:--rtlib=compiler-rt", "/clang:-print-libgcc-file-name"]
        CPU_LIBS = [subprocess.check_output(command, text=True).strip()]


def spelled(flags):
    """GCC's and Clang's flags as the compiler takes them."""
    return [f"/clang:{flag}" for flag in flags] if WINDOWS else flags


def extension(name, source, flags=(), libs=(), depends=()):
    return Extension(
        f"fastconv.engine.{name}",
        [str(source)],
        include_dirs=[str(ENGINE), np.get_include()],
        depends=[*depends, *(str(ENGINE / header) for header in ("simd.h", "openmp.h"))],
        define_macros=[
            ("FASTCONV_DEBUG", str(int(DEBUG))),
            ("CYTHON_INLINE", INLINE),
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
        ],
        extra_compile_args=spelled([*CFLAGS, *flags, *(OPENMP_CFLAGS if OPENMP else [])]),
        extra_link_args=[*libs, *(OPENMP_LIBS if OPENMP else [])],
    )


def for_level(level, translation):
    """The kernels of an instruction set, all of which have one translation, which takes long."""
    source = Path(translation).with_name(f"kernels_{level}.c")
    if not source.exists():
        source.write_text(
            f'#define PyInit__kernels PyInit__kernels_{level}\n#include "kernels.c"\n'
        )
    return extension(f"_kernels_{level}", source, LEVELS[MACHINE][level], depends=[translation])


EXTENSIONS = [
    extension("_system", ENGINE / "system.pyx", libs=CPU_LIBS),
    extension("_calls", ENGINE / "calls.pyx"),
    extension("_costs", ENGINE / "costs.pyx"),
    extension("_kernels", ENGINE / "kernels.pyx"),  # then one of each instruction set
]


class Build(build_ext):
    """build_ext that refuses to make a silently serial package."""

    def finalize_options(self):
        folder = "build/cython-debug" if DEBUG else "build/cython"
        *rest, kernels = cythonize(EXTENSIONS, build_dir=folder, compiler_directives=DIRECTIVES)
        modules = [*rest, *(for_level(level, *kernels.sources) for level in BUILT)]
        self.distribution.ext_modules = modules
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        variables = [os.environ.get(name) for name in ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")]
        flags = [(m.define_macros, m.extra_compile_args, m.extra_link_args) for m in modules]
        self.flags = repr((variables, flags))
        self.force = not FLAGS.exists() or FLAGS.read_text() != self.flags

    def run(self):
        # What was built before for other instruction sets would be chosen all the same.
        for level in set(LEVELS[MACHINE]).difference(BUILT):
            for folder in (ENGINE, Path(self.build_lib, ENGINE)):
                for module in folder.glob(f"_kernels_{level}.*"):
                    module.unlink()
        super().run()
        FLAGS.write_text(self.flags)
        if not self.inplace:
            # Python started in this folder finds these sources first: give them their modules.
            self.copy_extensions_to_source()

    def build_extensions(self):
        if WINDOWS:
            if not self.compiler.initialized:
                self.compiler.initialize()
            self.compiler.cc = CLANG_CL
            self.compiler.compile_options.remove("/GL")  # means nothing to clang-cl
        if OPENMP:
            self.check_openmp()
        super().build_extensions()

    def check_openmp(self):
        program = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=spelled(OPENMP_CFLAGS)
                )
                self.compiler.link_executable(
                    objects,
                    str(Path(folder, "probe")),
                    extra_preargs=os.environ.get("LDFLAGS", "").split(),
                    extra_postargs=OPENMP_LIBS,
                )
                if not TARGET:
                    subprocess.run([str(Path(folder, "probe"))], check=True)
            except Exception as error:
                sys.exit(
                    "fastconv: the C compiler cannot build an OpenMP program "
                    f"({type(error).__name__}: {error}).\n"
                    "Install its OpenMP runtime (libgomp or libomp), or set "
                    "FASTCONV_NO_OPENMP=1 to build a single-threaded package."
                )


if __name__ == "__main__":  # processes of the build may import this file
    setup(ext_modules=EXTENSIONS, cmdclass={"build_ext": Build})
