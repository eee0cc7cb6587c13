/* The few words the kernels speak, the same for every instruction set.
 *
 * A vector is a GCC/Clang vector type as wide as the registers of the target,
 * so a + b * c on it compiles to one fused multiply-add of a whole register.
 * Pointers are to bytes and need no alignment. */
#ifndef FASTCONV_SIMD_H
#define FASTCONV_SIMD_H

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define VECTOR_REGISTERS 32
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define VECTOR_REGISTERS 16
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define VECTOR_REGISTERS 32
#else
#define VECTOR_BYTES 16
#define VECTOR_REGISTERS 16
#endif

typedef float vf __attribute__((vector_size(VECTOR_BYTES)));
typedef double vd __attribute__((vector_size(VECTOR_BYTES)));
typedef vf vfu __attribute__((aligned(1), may_alias));
typedef vd vdu __attribute__((aligned(1), may_alias));

/* One lane of a vector of this type. */
#define LANE(v) __typeof__((v)[0])
#define LANE_BYTES(v) ((Py_ssize_t)sizeof(LANE(v)))
#define LANES(v) ((int)(sizeof(v) / sizeof(LANE(v))))
#define LOG2_LANES(v) (LANES(v) == 16 ? 4 : LANES(v) == 8 ? 3 : LANES(v) == 4 ? 2 : 1)
#define MAX_LANES (VECTOR_BYTES / 4)

/* The same vector anywhere in memory. */
#define UNALIGNED(v) __typeof__(_Generic((v), vf: (vfu){0}, vd: (vdu){0}))

/* Into the first-level cache, so many taps ahead: the hardware does not guess where taps lie. */
#define PREFETCH(p) __builtin_prefetch((p), 0, 3)
#define AHEAD 8
#define LINE 64
/* Into the second one, what is wanted later: of weights, so many bytes. */
#define PREFETCH_FAR(p) __builtin_prefetch((p), 0, 2)
#define WEIGHTS_AHEAD 2048

/* v = memory; memory = v; v = the element at p in every lane. */
#define LOAD(v, p) ((v) = *(const UNALIGNED(v) *)(p))
#define STORE(p, v) (*(UNALIGNED(v) *)(p) = (v))
#define BROADCAST(v, p) ((v) = *(const LANE(v) *)(p) - (__typeof__(v)){0})

/* v = a number in every lane. */
#define FILL(v, number) ((v) = (LANE(v))(number) - (__typeof__(v)){0})

/* The compiler does not look into v: it has been rounded, and is no part of a multiply-add. */
#if defined(__x86_64__)
#define ROUNDED(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define ROUNDED(v) __asm__("" : "+w"(v))
#else
#define ROUNDED(v) __asm__("" : "+m"(v))
#endif

/* Nor into a pointer to a function, which it must not merge with its callers: all others are inlined
 * wherever they are called, so those that are large, and called for whole rows, had better not be. */
#define OPAQUE(p) __asm__("" : "+r"(p))

/* The first n bytes of a vector, whole elements: nothing else is read or written.
 * (Masks are of 4 bytes: masked stores of single bytes are slow on Zen 4, and all of them on
 * older ones, so AVX2 has masked loads alone.)
 *
 * A mask: elements low .. high of a vector. What is outside is not read and loaded as zero. */
#define MASKS (VECTOR_BYTES >= 32) /* whether that is an instruction */
#if defined(__AVX512F__)
#include <immintrin.h>
#define LOAD_PART(v, p, n) \
    ((v) = (__typeof__(v))_mm512_maskz_loadu_epi32((__mmask16)((1u << (n) / 4) - 1), (p)))
#define STORE_PART(p, v, n) \
    _mm512_mask_storeu_epi32((p), (__mmask16)((1u << (n) / 4) - 1), (__m512i)(v))
typedef unsigned short mask;
#define MASK(m, low, high, v) ((m) = (mask)(((1u << (high)) - 1) & ~((1u << (low)) - 1)))
static inline vf load_masked_f(const void *p, mask m) { return (vf)_mm512_maskz_loadu_ps(m, p); }
static inline vd load_masked_d(const void *p, mask m)
{
    return (vd)_mm512_maskz_loadu_pd((__mmask8)m, p);
}
#elif defined(__AVX2__)
#include <immintrin.h>
typedef __m256i mask;
static inline mask words(Py_ssize_t low, Py_ssize_t high)
{
    __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)low), at),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32((int)high), at));
}
#define MASK(m, low, high, v) \
    ((m) = words((low) * LANE_BYTES(v) / 4, (high) * LANE_BYTES(v) / 4))
static inline vf load_masked_f(const void *p, mask m) { return (vf)_mm256_maskload_ps(p, m); }
static inline vd load_masked_d(const void *p, mask m) { return (vd)_mm256_maskload_ps(p, m); }
#define LOAD_PART(v, p, n) \
    ((v) = (__typeof__(v))_mm256_maskload_ps((const float *)(p), words(0, (n) / 4)))
#else
#define LOAD_PART(v, p, n) ((v) = (__typeof__(v)){0}, __builtin_memcpy(&(v), (p), (size_t)(n)))
typedef struct { int low, high; } mask;
#define MASK(m, first, last, v) \
    ((m).low = (int)((first) * LANE_BYTES(v)), (m).high = (int)((last) * LANE_BYTES(v)))
static inline vf load_masked_f(const char *p, mask m)
{
    vf v = {0};
    if (m.low == 0 && m.high == VECTOR_BYTES)
        return *(const vfu *)p;
    __builtin_memcpy((char *)&v + m.low, p + m.low, (size_t)(m.high - m.low));
    return v;
}
static inline vd load_masked_d(const char *p, mask m) { return (vd)load_masked_f(p, m); }
#endif
#if !defined(STORE_PART)
static inline void store_part(char *p, const char *v, Py_ssize_t n)
{
    if (n & VECTOR_BYTES)
        __builtin_memcpy(p, v, VECTOR_BYTES);
#if VECTOR_BYTES == 32
    if (n & 16)
        __builtin_memcpy(p, v, 16), p += 16, v += 16;
#endif
    if (n & 8)
        __builtin_memcpy(p, v, 8), p += 8, v += 8;
    if (n & 4)
        __builtin_memcpy(p, v, 4);
}
#define STORE_PART(p, v, n) \
    do { \
        __typeof__(v) whole = (v); \
        store_part((char *)(p), (const char *)&whole, (n)); \
    } while (0)
#endif
#define LOAD_MASKED(v, p, m) ((v) = _Generic((v), vf: load_masked_f, vd: load_masked_d)((p), (m)))

/* A vector of floats or doubles from memory; doubles, too, that are floats there. PAIR: the sum, or
 * the difference, of two in memory as doubles. */
typedef float vfh __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef vfh vfhu __attribute__((aligned(1), may_alias));
static inline vf same_f(const void *p) { return *(const vfu *)p; }
static inline vd same_d(const double *p) { return *(const vdu *)p; }
#if defined(__AVX512F__)                /* GCC 12 converts halves one by one */
static inline vd to_doubles(vfh v) { return (vd)_mm512_cvtps_pd((__m256)v); }
#else
static inline vd to_doubles(vfh v) { return __builtin_convertvector(v, vd); }
#endif
static inline vd widened(const float *p) { return to_doubles(*(const vfhu *)p); }
static inline vd pair_f(const float *p, const float *q, int sign)
{
    vfh x = *(const vfhu *)p, y = *(const vfhu *)q;
    return to_doubles(sign > 0 ? x + y : x - y);
}
static inline vd pair_d(const double *p, const double *q, int sign)
{
    vd x = *(const vdu *)p, y = *(const vdu *)q;
    return sign > 0 ? x + y : x - y;
}
#define LOAD_WIDENED(v, p) \
    ((v) = _Generic((v), vf: same_f, \
                    vd: _Generic((p), const float *: widened, const double *: same_d))(p))
#define LOAD_PAIR(v, p, q, sign) \
    ((v) = _Generic((p), const float *: pair_f, const double *: pair_d)(p, q, sign))

/* As many integers as there are floats in a vector. CUT: units of 2 ** -bits cut off to whole
 * numbers; returns whether any of these but 0 is less than `doubt` units below what it was. */
typedef int vi __attribute__((vector_size(VECTOR_BYTES)));
static inline int any(vi v)
{
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)v, (__m512i)v) != 0;
#else
    long long halves[VECTOR_BYTES / 8], sum = 0;
    __builtin_memcpy(halves, &v, sizeof v);
    for (int i = 0; i < VECTOR_BYTES / 8; i++)
        sum |= halves[i];
    return sum != 0;
#endif
}
static inline vi differing(vf a, vf b) { return (vi)a ^ (vi)b; }
static inline vi to_units(vf v) { return __builtin_convertvector(v, vi); }
static inline int CUT(float *values, vi units, int bits, int doubt)
{
    vi whole = units >> bits, rest = units & ((1 << bits) - 1);
    *(vfu *)values = __builtin_convertvector(whole - (whole >> 31), vf);
    return any((rest < doubt) & (whole != 0));
}

/* ZIP: the lower or the upper halves of two vectors, their elements taken in turn.
 * EVEN, ODD: every other element of two vectors; NEAR, within each 16 bytes, or FAR, every other 16
 * bytes, it takes an instruction without an index in a register. */
#if VECTOR_BYTES == 64
#define LOW_32 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_32 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_64 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_64 4, 12, 5, 13, 6, 14, 7, 15
#define EVEN_32 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_32 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define EVEN_64 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_64 1, 3, 5, 7, 9, 11, 13, 15
#define NEAR_EVEN_32 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30
#define FAR_EVEN_32 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define NEAR_ODD_32 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31
#define FAR_ODD_32 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#define NEAR_EVEN_64 0, 8, 2, 10, 4, 12, 6, 14
#define FAR_EVEN_64 0, 1, 4, 5, 8, 9, 12, 13
#define NEAR_ODD_64 1, 9, 3, 11, 5, 13, 7, 15
#define FAR_ODD_64 2, 3, 6, 7, 10, 11, 14, 15
#elif VECTOR_BYTES == 32
#define LOW_32 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_32 4, 12, 5, 13, 6, 14, 7, 15
#define LOW_64 0, 4, 1, 5
#define HIGH_64 2, 6, 3, 7
#define EVEN_32 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_32 1, 3, 5, 7, 9, 11, 13, 15
#define EVEN_64 0, 2, 4, 6
#define ODD_64 1, 3, 5, 7
#define NEAR_EVEN_32 0, 2, 8, 10, 4, 6, 12, 14
#define FAR_EVEN_32 0, 1, 2, 3, 8, 9, 10, 11
#define NEAR_ODD_32 1, 3, 9, 11, 5, 7, 13, 15
#define FAR_ODD_32 4, 5, 6, 7, 12, 13, 14, 15
#define NEAR_EVEN_64 0, 4, 2, 6
#define FAR_EVEN_64 0, 1, 4, 5
#define NEAR_ODD_64 1, 5, 3, 7
#define FAR_ODD_64 2, 3, 6, 7
#else
#define LOW_32 0, 4, 1, 5
#define HIGH_32 2, 6, 3, 7
#define LOW_64 0, 2
#define HIGH_64 1, 3
#define EVEN_32 0, 2, 4, 6
#define ODD_32 1, 3, 5, 7
#define EVEN_64 0, 2
#define ODD_64 1, 3
#define NEAR_EVEN_32 EVEN_32
#define NEAR_ODD_32 ODD_32
#define NEAR_EVEN_64 EVEN_64
#define NEAR_ODD_64 ODD_64
#define FAR_EVEN_32 EVEN_32
#define FAR_ODD_32 ODD_32
#define FAR_EVEN_64 EVEN_64
#define FAR_ODD_64 ODD_64
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE_32(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLE_64(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int vi32 __attribute__((vector_size(VECTOR_BYTES)));
typedef long long vi64 __attribute__((vector_size(VECTOR_BYTES)));
#define SHUFFLE_32(a, b, ...) __builtin_shuffle(a, b, (vi32){__VA_ARGS__})
#define SHUFFLE_64(a, b, ...) __builtin_shuffle(a, b, (vi64){__VA_ARGS__})
#endif
static inline vf zip_low_f(vf a, vf b) { return SHUFFLE_32(a, b, LOW_32); }
static inline vf zip_high_f(vf a, vf b) { return SHUFFLE_32(a, b, HIGH_32); }
static inline vd zip_low_d(vd a, vd b) { return SHUFFLE_64(a, b, LOW_64); }
static inline vd zip_high_d(vd a, vd b) { return SHUFFLE_64(a, b, HIGH_64); }
static inline vf even_f(vf a, vf b) { return SHUFFLE_32(a, b, EVEN_32); }
static inline vd even_d(vd a, vd b) { return SHUFFLE_64(a, b, EVEN_64); }
static inline vf odd_f(vf a, vf b) { return SHUFFLE_32(a, b, ODD_32); }
static inline vd odd_d(vd a, vd b) { return SHUFFLE_64(a, b, ODD_64); }
static inline vf turn_even_f(vf a, vf b, int near)
{
    return near ? SHUFFLE_32(a, b, NEAR_EVEN_32) : SHUFFLE_32(a, b, FAR_EVEN_32);
}
static inline vf turn_odd_f(vf a, vf b, int near)
{
    return near ? SHUFFLE_32(a, b, NEAR_ODD_32) : SHUFFLE_32(a, b, FAR_ODD_32);
}
static inline vd turn_even_d(vd a, vd b, int near)
{
    return near ? SHUFFLE_64(a, b, NEAR_EVEN_64) : SHUFFLE_64(a, b, FAR_EVEN_64);
}
static inline vd turn_odd_d(vd a, vd b, int near)
{
    return near ? SHUFFLE_64(a, b, NEAR_ODD_64) : SHUFFLE_64(a, b, FAR_ODD_64);
}
#define ODD(v, a, b) ((v) = _Generic((v), vf: odd_f, vd: odd_d)(a, b))
#define EVEN(v, a, b) ((v) = _Generic((v), vf: even_f, vd: even_d)(a, b))
/* Log2(lanes) rounds of both, on vectors 2 * i and 2 * i + 1, transpose a square of elements. */
#define TURN_NEAR(v, round) ((2 << (round)) * (int)sizeof(LANE(v)) <= 16)
#define TURN_EVEN(v, a, b, round) \
    ((v) = _Generic((v), vf: turn_even_f, vd: turn_even_d)(a, b, TURN_NEAR(v, round)))
#define TURN_ODD(v, a, b, round) \
    ((v) = _Generic((v), vf: turn_odd_f, vd: turn_odd_d)(a, b, TURN_NEAR(v, round)))
#define ZIP_LOW(v, a, b) ((v) = _Generic((v), vf: zip_low_f, vd: zip_low_d)(a, b))
#define ZIP_HIGH(v, a, b) ((v) = _Generic((v), vf: zip_high_f, vd: zip_high_d)(a, b))

/* v = a vector that begins in a and ends in b, `by` so many elements on: by none, then one more.
 * Where SHIFTS is 0 a load is as fast; else it takes two cycles where it crosses from one cache line
 * into the next. */
#if defined(__AVX512F__)
#define SHIFTS 1
static inline vf shift_f(vf by, int next)
{
    __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return (vf)(next ? _mm512_add_epi32((__m512i)by, _mm512_set1_epi32(1)) : first);
}
static inline vd shift_d(vd by, int next)
{
    __m512i first = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    return (vd)(next ? _mm512_add_epi64((__m512i)by, _mm512_set1_epi64(1)) : first);
}
static inline vf shifted_f(vf a, vf b, vf by)
{
    return (vf)_mm512_permutex2var_ps((__m512)a, (__m512i)by, (__m512)b);
}
static inline vd shifted_d(vd a, vd b, vd by)
{
    return (vd)_mm512_permutex2var_pd((__m512d)a, (__m512i)by, (__m512d)b);
}
#define NO_SHIFT(by) ((by) = _Generic((by), vf: shift_f, vd: shift_d)((by), 0))
#define NEXT_SHIFT(by) ((by) = _Generic((by), vf: shift_f, vd: shift_d)((by), 1))
#define SHIFTED(v, a, b, by) ((v) = _Generic((v), vf: shifted_f, vd: shifted_d)((a), (b), (by)))
#else
#define SHIFTS 0
#define NO_SHIFT(by) ((void)(by))
#define NEXT_SHIFT(by) ((void)(by))
#define SHIFTED(v, a, b, by) ((v) = (a))
#endif

/* The first n bytes of a vector to every other place of memory; what is between is not touched.
 * Where no store does that, SPREADS is 0. */
#if defined(__AVX512F__)
#define SPREADS 1
#define STORE_SPREAD(p, v, n) \
    do { \
        uint32_t some = (uint32_t)((1ULL << ((n) / 2)) - 1) \
                        & (sizeof(LANE(v)) == 4 ? 0x55555555 : 0x33333333); \
        __typeof__(v) low, high; \
        ZIP_LOW(low, v, v); \
        ZIP_HIGH(high, v, v); \
        _mm512_mask_storeu_epi32((p), (__mmask16)some, (__m512i)low); \
        _mm512_mask_storeu_epi32((p) + VECTOR_BYTES, (__mmask16)(some >> 16), (__m512i)high); \
    } while (0)
#else
#define SPREADS 0
#define STORE_SPREAD(p, v, n) ((void)(p), (void)(v), (void)(n))
#endif

/* The quarters of a vector to four places, in their order; where QUARTERS is 0 that is too slow. */
#if defined(__AVX512F__)
#define QUARTERS 1
#define STORE_QUARTER(p, v, i) \
    _mm_storeu_ps((float *)(p), _mm512_extractf32x4_ps((__m512)(v), (i)))
#define STORE_QUARTERS(p, q, r, s, v) \
    (STORE_QUARTER(p, v, 0), STORE_QUARTER(q, v, 1), STORE_QUARTER(r, v, 2), STORE_QUARTER(s, v, 3))
#else
#define QUARTERS 0
#define STORE_QUARTERS(p, q, r, s, v) ((void)(p), (void)(q), (void)(r), (void)(s), (void)(v))
#endif

/* Register tiles: ROWS output channels by VECTORS(ROWS) vectors of positions.
 * The number of rows is carried by a type (Cython's fused types choose types, not
 * numbers), so that it is a constant to the C compiler and every loop unrolls. */
#define TILE_ROWS(n) typedef struct { char size[n]; } rows##n
TILE_ROWS(1); TILE_ROWS(2); TILE_ROWS(3); TILE_ROWS(4); TILE_ROWS(5);
TILE_ROWS(6); TILE_ROWS(7); TILE_ROWS(8); TILE_ROWS(9); TILE_ROWS(10);
TILE_ROWS(11); TILE_ROWS(12); TILE_ROWS(13); TILE_ROWS(14);
#define MAX_ROWS 14

typedef struct { char one; } single;    /* one vector of positions */
typedef struct { char two[3]; } pair;   /* two */
typedef struct { char many[2]; } wide;  /* as many as the registers hold */
typedef struct { char all[4]; } inner; /* as many, none of them masked */

/* Rows of two sums each that leave three registers for what they are made of; 0 if the six of few
 * registers are slower than twice as many of one sum. */
#define TWICE_ROWS (VECTOR_REGISTERS == 32 ? 14 : 0)

#if VECTOR_REGISTERS == 32
#define TALLEST_ROWS 14
#define ROWS_LIMIT (VECTOR_BYTES == 64 ? 9 : TALLEST_ROWS)
#define VECTORS(rows) \
    ((rows) >= 10 ? 2 : (rows) >= 7 ? 3 : (rows) == 6 ? 4 : (rows) == 5 ? 5 \
     : (rows) == 4 ? 6 : (rows) == 3 ? 7 : 8)
#else
#define TALLEST_ROWS 6
#define ROWS_LIMIT TALLEST_ROWS
#define VECTORS(rows) ((rows) >= 5 ? 2 : (rows) == 4 ? 3 : (rows) == 3 ? 3 : (rows) == 2 ? 5 : 8)
#endif
#define MAX_VECTORS 8
/* The vectors of a tile of so many rows: one, two, or as many as the registers hold. */
#define WIDTH_OF(rows, span_size) \
    ((span_size) == sizeof(single) ? 1 : (span_size) == sizeof(pair) ? 2 : VECTORS(rows))

/* Whether a few positions had better be multiplied by vectors of output channels: such sums wait for
 * each other for some cycles, in which others would do half a register tile of AVX2. */
#if VECTOR_BYTES == 64
#define FEW_PAY 1
#else
#define FEW_PAY 0
#endif

/* Images whose sums of four channels each are computed at a time. */
#define IMAGES (VECTOR_REGISTERS / 8)

/* Turned, the rows are positions, and the vectors run over output channels. Whether the first and
 * the last one are left out where they meet zeros: low tiles seldom end where a row does. */
#define ENDS (VECTOR_REGISTERS == 32)
#if VECTOR_REGISTERS == 32
#define TURNED_VECTORS(rows) ((rows) >= 10 ? 2 : (rows) >= 8 ? 3 : 4)
#define FULL(rows) (VECTOR_BYTES == 64 && (rows) == 7) /* 28 sums, 4 of weights, a number */
#else
#define FULL(rows) 0
#define TURNED_VECTORS(rows) ((rows) >= 5 ? 2 : (rows) >= 3 ? 3 : 4)
#endif

/* Bands: rows of the output computed together by one register tile, and its vectors. */
#define BAND 4
#if VECTOR_REGISTERS == 32
#define BAND_VECTORS 4
#else
#define BAND_VECTORS 2
#endif

/* Filters: squares of so many taps a side, or a cross in one; strides of one or two. */
typedef struct { char size[3]; } cross3;
typedef struct { char size[3]; } square3;
typedef struct { char size[5]; } square5;
typedef struct { char size[7]; } square7;
typedef struct { char size[1]; } stride1;
typedef struct { char size[2]; } stride2;
#define MOST_TAPS 7
#define FILTER_ROWS 13    /* what a band sees of the input at most: 3 * 2 + 7 */
#define FILTER_VECTORS(span_size) \
    ((span_size) == sizeof(single) ? 1 : (span_size) == sizeof(pair) ? 2 : BAND_VECTORS)

/* The arithmetic of a thread between `begin` and `end`, whatever it was before: rounding to
 * nearest, no traps, and denormals are zero, as operands and as results. Processors may take a
 * hundred times as long for them. Nothing is moved across: both may change any memory. */
#if defined(__x86_64__)
typedef unsigned int arithmetic;
#define ARITHMETIC 0x9fc0u              /* FTZ and DAZ, all exceptions masked */
#define GET_ARITHMETIC(a) __asm__ volatile("stmxcsr %0" : "=m"(a) : : "memory")
#define SET_ARITHMETIC(a) __asm__ volatile("ldmxcsr %0" : : "m"(a) : "memory")
#elif defined(__aarch64__)
typedef unsigned long long arithmetic;
#define ARITHMETIC (1ull << 24)         /* FZ */
#define GET_ARITHMETIC(a) __asm__ volatile("mrs %0, fpcr" : "=r"(a) : : "memory")
#define SET_ARITHMETIC(a) __asm__ volatile("msr fpcr, %0" : : "r"(a) : "memory")
#else
typedef int arithmetic;
#define ARITHMETIC 0
#define GET_ARITHMETIC(a) ((a) = 0)
#define SET_ARITHMETIC(a) ((void)(a))
#endif
static inline arithmetic begin_arithmetic(void)
{
    arithmetic before, ours = ARITHMETIC;
    GET_ARITHMETIC(before);
    SET_ARITHMETIC(ours);
    return before;
}
static inline void end_arithmetic(arithmetic before) { SET_ARITHMETIC(before); }

#endif
