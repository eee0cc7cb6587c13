"""Declarations of simd.h; Cython takes a vector for a float, C knows better."""

cdef extern from "simd.h" nogil:
    ctypedef float vf
    ctypedef double vd
    ctypedef int vi
    ctypedef int mask
    const int MOST_TAPS, FILTER_ROWS, SHIFTS, SPREADS, QUARTERS, FEW_PAY, ENDS
    int FILTER_VECTORS(size_t span_size)

    # Macros, so that one text serves both kinds of vector: (v, pointer), (pointer, v), ...
    void LOAD(...)
    void STORE(...)
    void BROADCAST(...)
    void FILL(...)
    void PREFETCH(...)
    void PREFETCH_FAR(...)
    void ROUNDED(...)
    void OPAQUE(...)
    void STORE_PART(...)
    void LOAD_PART(...)
    void MASK(...)
    void LOAD_MASKED(...)
    void LOAD_WIDENED(...)
    void LOAD_PAIR(...)
    vi to_units(vf v)
    vi differing(vf a, vf b)
    bint any(vi v)
    bint CUT(float *values, vi units, int bits, int doubt)
    void EVEN(...)
    void ODD(...)
    void TURN_EVEN(...)
    void TURN_ODD(...)
    void ZIP_LOW(...)
    void ZIP_HIGH(...)
    void NO_SHIFT(...)
    void NEXT_SHIFT(...)
    void SHIFTED(...)
    void STORE_SPREAD(...)
    void STORE_QUARTERS(...)
    Py_ssize_t LANE_BYTES(...)
    int LANES(...)
    int LOG2_LANES(...)
    int VECTORS(int rows)
    int TURNED_VECTORS(int rows)
    bint FULL(size_t rows)
    int WIDTH_OF(int rows, int span_size)
    const int MAX_ROWS, MAX_VECTORS, MAX_LANES, ROWS_LIMIT, TALLEST_ROWS, TWICE_ROWS, IMAGES
    const bint MASKS
    const int AHEAD, WEIGHTS_AHEAD, LINE, VECTOR_BYTES, BAND, BAND_VECTORS

    ctypedef unsigned long long arithmetic
    arithmetic begin_arithmetic()
    void end_arithmetic(arithmetic before)

    ctypedef struct rows1:
        char size[1]
    ctypedef struct rows2:
        char size[2]
    ctypedef struct rows3:
        char size[3]
    ctypedef struct rows4:
        char size[4]
    ctypedef struct rows5:
        char size[5]
    ctypedef struct rows6:
        char size[6]
    ctypedef struct rows7:
        char size[7]
    ctypedef struct rows8:
        char size[8]
    ctypedef struct rows9:
        char size[9]
    ctypedef struct rows10:
        char size[10]
    ctypedef struct rows11:
        char size[11]
    ctypedef struct rows12:
        char size[12]
    ctypedef struct rows13:
        char size[13]
    ctypedef struct rows14:
        char size[14]

    ctypedef struct single:
        char one
    ctypedef struct pair:
        char two[3]
    ctypedef struct wide:
        char many[2]
    ctypedef struct inner:
        char all[4]
    ctypedef struct cross3:
        char size[3]
    ctypedef struct square3:
        char size[3]
    ctypedef struct square5:
        char size[5]
    ctypedef struct square7:
        char size[7]
    ctypedef struct stride1:
        char size[1]
    ctypedef struct stride2:
        char size[2]

ctypedef fused vector:
    vf
    vd

ctypedef fused rows:
    rows1
    rows2
    rows3
    rows4
    rows5
    rows6
    rows7
    rows8
    rows9
    rows10
    rows11
    rows12
    rows13
    rows14

ctypedef fused width:
    single
    wide

ctypedef fused span:
    single
    pair
    wide

ctypedef fused reach:
    single
    pair
    wide
    inner

ctypedef fused square:
    cross3
    square3
    square5
    square7

ctypedef fused stride:
    stride1
    stride2
