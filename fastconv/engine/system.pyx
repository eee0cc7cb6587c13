"""What the machine and the OpenMP runtime say, in the baseline instruction set."""

cdef extern from "openmp.h" nogil:
    int omp_get_max_threads()
    const int _OPENMP

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(_M_X64)
    static int cpu_level(void) {
        __builtin_cpu_init();
        int v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
        int v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
        int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl");
        return v4 ? 4 : v3 ? 3 : v2 ? 2 : 1;
    }
    #else
    static int cpu_level(void) { return 0; }
    #endif
    #if defined(__unix__) && !defined(__APPLE__)
    #include <unistd.h>
    #endif
    static long cache_bytes(void) {
    #if defined(_SC_LEVEL2_CACHE_SIZE)
        return sysconf(_SC_LEVEL2_CACHE_SIZE);
    #else
        return 0;
    #endif
    }
    #if defined(__clang__)
    #define COMPILER "Clang " __VERSION__
    #define RUNTIME "libomp"
    #elif defined(__GNUC__)
    #define COMPILER "GCC " __VERSION__
    #define RUNTIME "libgomp"
    #else
    #define COMPILER "unknown"
    #define RUNTIME "unknown"
    #endif
    """
    int cpu_level()
    long cache_bytes()
    const char *COMPILER
    const char *RUNTIME

cdef extern from *:
    const int FASTCONV_DEBUG


def simd_levels():
    """The instruction sets of this CPU that fastconv knows, best last."""
    cdef int level = cpu_level()
    if level == 0:
        return ("neon",)
    return tuple(f"v{n}" for n in range(2, level + 1))


def max_threads():
    """How many threads OpenMP would use now (OMP_NUM_THREADS, affinity, threadpoolctl)."""
    return omp_get_max_threads()


def cache_size():
    """The second-level cache of a core in bytes; 1 MiB where the system does not tell."""
    cdef long size = cache_bytes()
    return size if size > 0 else 1 << 20


OPENMP_VERSION = _OPENMP
OPENMP_RUNTIME = RUNTIME.decode() if _OPENMP else "none"
COMPILER_VERSION = COMPILER.decode()
DEBUG = bool(FASTCONV_DEBUG)
