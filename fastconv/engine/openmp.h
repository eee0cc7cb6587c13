/* The one door to OpenMP; a build without it has one thread. */
#ifndef FASTCONV_OPENMP_H
#define FASTCONV_OPENMP_H
#ifdef _OPENMP
#include <omp.h>
#else
#define _OPENMP 0
static inline int omp_get_max_threads(void) { return 1; }
static inline int omp_get_thread_num(void) { return 0; }
static inline int omp_get_num_procs(void) { return 1; }
#endif
/* The number there, which is one more for whoever comes next. */
#define TAKE(number) __atomic_fetch_add(&(number), 1, __ATOMIC_RELAXED)
#endif
