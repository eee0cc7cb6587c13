"""Rough cycles of tiles, and the tile that takes the fewest.

Two vector multiply-adds a cycle, 8 bytes laid out a cycle, some cycles for each run of the
register tile and each row of scratch or output; more where the scratch outgrows the cache. Good
enough to choose by; nothing depends on it but the time. Thousands of tiles are compared for each
new shape, therefore in C.
"""

from libc.math cimport INFINITY, fmax, fmin
from libc.stdlib cimport free, malloc

from fastconv.engine import _system
from fastconv.engine.dispatch import kernels

#: Scratch that stays in the second-level cache beside a block of weights.
SCRATCH_BUDGET = min(max(_system.cache_size(), 1 << 19), 1 << 22) // 2
#: Tiles for each of which weights are gathered anew rather than packed before all.
NEAR_TILES = 3

cdef enum:
    AXES = 3
    MOST_SIZES = 80  # of a tile along an axis
    MOST_CHUNKS = 4
    MOST_HEIGHT = 64

# What multiplying vectors takes that are one cache line each, to such as have parts of two.
cdef double ALIGNED_SINGLE = 0.84
cdef double ALIGNED_DOUBLE = 0.9

cdef double BUDGET = SCRATCH_BUDGET
cdef int MOST_NEAR = NEAR_TILES
cdef int VECTOR = kernels.VECTOR
cdef int ROWS = kernels.ROWS
cdef bint FEW = kernels.FEW
cdef int SPREAD = 1 + kernels.EVERY_OTHER
# Vectors of positions in register tiles of so many rows, of outputs in those of so many positions.
cdef int[MOST_HEIGHT] WIDE
cdef int[MOST_HEIGHT] TURNED
for _height in range(1, max(ROWS, kernels.TALLEST) + 1):
    WIDE[_height] = kernels.vectors(_height)
for _height in range(ROWS + 1):
    TURNED[_height] = kernels.turned_vectors(_height)


# ---- Numbers -----------------------------------------------------------------------

cdef inline double down(double n) noexcept nogil:
    """Rounded down: what is counted is not negative and far below 2**63."""
    return <double> <Py_ssize_t> n


cdef inline double up(double n) noexcept nogil:
    cdef double whole = down(n)
    return whole + (whole < n)


cdef int sizes(Py_ssize_t n, double *found) noexcept nogil:
    """How many sizes are worth trying for a tile along an axis of n; these, the largest first."""
    cdef int count = 0
    cdef double parts = 1
    cdef double more = 1.25**13
    cdef double size
    while parts <= n:
        size = up(n / parts)
        if count == 0 or size < found[count - 1]:
            found[count] = size
            count += 1
        # One more, from 16 on a quarter more, up to a million.
        if parts < 16:
            parts += 1
        elif more < 1.5e6:
            parts = down(more)
            more *= 1.25
        else:
            break
    if count == 0 or found[count - 1] > 1:
        found[count] = 1
        count += 1
    return count


cpdef bint whole_lines(double columns, int size) noexcept nogil:
    """Whether rows of so many elements of so many bytes are whole cache lines."""
    return <Py_ssize_t> columns * size % 64 == 0


cpdef double filled(double positions, int height, int lanes) noexcept nogil:
    """Vectors of positions; the last counts for less if the few it has are multiplied alone."""
    cdef double whole = down(positions / lanes)
    cdef double left = positions - whole * lanes
    if FEW and left > 0 and 2 * left <= height <= lanes:
        return whole + fmin(0.4 + fmax(left, 4) / height, 1)
    return whole + (left > 0)


cdef inline double not_wide(double vectors, int height) noexcept nogil:
    """What so many vectors take more than in wide tiles: pairs of them do, and one alone."""
    cdef Py_ssize_t whole = <Py_ssize_t> vectors
    cdef int missing = (WIDE[height] - whole % WIDE[height]) % WIDE[height]
    return (0.2 + 0.2 * missing if missing else 0) + 0.5 * (whole == 1)


cpdef bint by_rows(
    double columns, double pitch, double taps, int height, int lanes
) noexcept nogil:
    """Whether rows of whole vectors had better go to the output one by one.

    They need no panel, which takes some cycles for each of its vectors and rows, and what lies
    between them is not computed; but vectors that do not fill a wide tile take longer.
    """
    cdef double vectors = columns / lanes
    if vectors > down(vectors):
        return False
    vectors += not_wide(vectors, height)
    return vectors * taps <= pitch / lanes * (taps + 4) + 12


# ---- Tiles that are laid out -------------------------------------------------------

cdef struct Step:
    double groups
    double inputs
    double outputs
    double kernel  # taps of an input channel
    double taps  # of all of them
    bint[AXES] reduces
    bint stores
    Py_ssize_t along  # bytes from output to output in a row
    Py_ssize_t channel
    # Register tiles: blocks of rows, so many each.
    double blocks
    int height


cdef struct Cost:
    double once  # cycles that all tiles share
    double lay_out  # of one tile
    double multiply


cdef class Costs:
    """Cycles of a problem's tiles (z, y, x) by one lay-out of its axes or another.

    With its weights packed beforehand or not.
    """

    cdef int size, lanes, count
    cdef bint packed, anew, planes_follow, small, alone
    cdef double images, groups, channels, weights, width
    cdef Py_ssize_t[AXES] grid
    cdef Step *steps
    # Of the lay-out: what a tile has more than outputs, planes, and whether x has taps.
    cdef double[AXES] halo
    cdef double[AXES] phases
    cdef bint tapped

    def __cinit__(self, problem, bint packed):
        cdef Step *each
        steps = problem.steps
        self.count = len(steps)
        self.steps = <Step *> malloc(self.count * sizeof(Step))
        if self.steps is NULL:
            raise MemoryError
        self.packed = packed
        self.size = problem.dtype.itemsize
        self.lanes = VECTOR // self.size
        self.images, self.groups, self.channels = problem.images, problem.groups, problem.channels
        self.grid = problem.grid
        self.width = problem.sizes[2]
        self.weights = 0
        for i, step in enumerate(steps):
            each = &self.steps[i]
            each.groups, each.inputs, each.outputs = step.groups, step.inputs, step.outputs
            each.kernel = len(step.taps)
            each.taps = each.inputs * each.kernel
            each.reduces = step.reduces
            each.stores = step.output is not None
            if each.stores:
                each.along, each.channel = step.output.spatial[2], step.output.channel
            each.blocks = fmax(up(each.outputs / ROWS), 1)
            each.height = <int> fmax(up(each.outputs / each.blocks), 1)
            self.weights += self.groups * each.groups * each.outputs * each.taps
        # Of a map's channels each is read at a place of its own.
        self.alone = VECTOR == 64 and self.steps[0].kernel == 1
        # Kernels without a stride, measured anew with AVX-512.
        self.anew = VECTOR == 64 and problem.stride == (1, 1, 1) and self.steps[0].kernel > 1
        self.planes_follow = self.anew and problem.in_strides[5] == self.size
        self.small = self.grid[1] * self.grid[2] < 128

    def __dealloc__(self):
        free(self.steps)

    def fewest(self, axes, int height, int splits, tuple chunks, int threads):
        """The cycles of the best tile in so many threads, and that tile, for each of `chunks`.

        Vectors run over output channels beside so many positions, or over positions if that is 0.
        The input channels are in so many parts, one after the other, the output channels of a tile
        in so many chunks.
        """
        cdef double[AXES][MOST_SIZES] tried
        cdef int[AXES] count
        cdef double[MOST_CHUNKS] best
        cdef double[MOST_CHUNKS] shares
        cdef double[MOST_CHUNKS][AXES] tile
        cdef double z, y, x, tiles, cycles
        cdef Cost cost
        cdef int a, i, j, k, c
        cdef int options = len(chunks)
        for a in range(AXES):
            self.halo[a] = axes[a].halo
            self.phases[a] = len(axes[a].residues)
            count[a] = sizes(self.grid[a], tried[a])
        self.tapped = len(axes[2].taps) > 1
        for c in range(options):
            shares[c] = chunks[c]
            best[c] = INFINITY
        for i in range(count[0]):
            z = tried[0][i]
            for j in range(count[1]):
                y = tried[1][j]
                for k in range(count[2]):
                    x = tried[2][k]
                    tiles = self.images * up(self.grid[0] / z) * up(self.grid[1] / y)
                    tiles *= up(self.grid[2] / x)
                    if height:
                        cost = self.swapped(z, y, x, height, splits, tiles)
                    else:
                        cost = self.direct(z, y, x, splits)
                    tiles *= self.groups
                    for c in range(options):
                        cycles = cost.once / threads + up(tiles * shares[c] / threads) * (
                            cost.lay_out + cost.multiply / shares[c]
                        )
                        if cycles < best[c]:
                            best[c] = cycles
                            tile[c][0], tile[c][1], tile[c][2] = z, y, x
        return [
            (best[c], (int(tile[c][0]), int(tile[c][1]), int(tile[c][2]))) for c in range(options)
        ]

    cdef Cost direct(self, double z, double y, double x, int splits) noexcept nogil:
        cdef double[AXES] extent
        cdef bint[AXES] left
        cdef Cost cost
        cdef Step *step
        cdef double planes, depth, positions, store, vectors, runs, kept, weights, each
        cdef int a, i
        cdef double scratch = self.scratch(z, y, x, &cost) / splits
        extent[0], extent[1], extent[2] = z + self.halo[0], y + self.halo[1], x + self.halo[2]
        for a in range(AXES):
            left[a] = True
        cost.once = self.packing()
        cost.multiply = 0
        for i in range(self.count):
            step = &self.steps[i]
            if step.stores:
                planes, depth = 1, z
                positions = (y - 1) * extent[2] + x
                # One by one, unless they follow each other or every other one does.
                store = positions / self.lanes * 2
                if step.along > 2 * self.size:
                    store *= self.lanes
                store = step.outputs * (y * 6 + store)
                if splits == 1 and step.along == self.size:
                    if by_rows(x, extent[2], step.taps, step.height, self.lanes):
                        positions = y * x
                        store = 0
            else:
                planes = 1
                for a in range(AXES):
                    left[a] = left[a] and not step.reduces[a]
                    if left[a]:
                        planes *= self.phases[a]
                depth = extent[0] if left[0] else z
                positions = (extent[1] if left[1] else y) * extent[2]
                scratch += step.groups * step.outputs * planes * depth * positions * self.size
                store = 0
            vectors = up(positions / self.lanes)
            runs = step.blocks * up(vectors / WIDE[step.height])
            if splits > 1:
                kept = step.outputs * vectors
                scratch += kept * VECTOR / 16
                # Sums are stored and loaded again with each part.
                runs *= splits
                store += 2 * kept * splits
            elif step.stores:
                vectors = filled(positions, step.height, self.lanes)
            weights = step.groups * step.outputs * step.taps * self.size
            # What the cache does not hold comes from afar for each tile: much of it, too late.
            if weights > BUDGET:
                cost.multiply += weights / 24
            if VECTOR == 64:
                cost.multiply += fmax(weights - 4 * BUDGET, 0) / 6
                vectors += not_wide(vectors, step.height)
            elif self.small:
                # A vector alone, as a small image may have one, has too few sums for two
                # multiply-adds a cycle.
                kept = vectors - WIDE[step.height] * down(vectors / WIDE[step.height])
                vectors += kept / (2 if step.kernel > 1 else 4)
            # Taps of a kernel lie further apart than those of a map.
            each = 0.52 if self.anew else 0.5
            if self.in_lines(x):
                each *= ALIGNED_SINGLE if self.size == 4 else ALIGNED_DOUBLE
            cost.multiply += step.groups * planes * depth * (
                vectors * step.outputs * step.taps * each + runs * 30 + store
            )
        # Of passes one after the other, each reads in turn what the one before has written.
        cost.multiply *= spill(scratch) if self.count == 1 else 1 + 0.4 * (spill(scratch) - 1)
        return cost

    cdef Cost swapped(
        self, double z, double y, double x, int most, int splits, double tiles
    ) noexcept nogil:
        cdef Cost cost
        cdef Step *step
        cdef double columns, kept, store
        cdef double height = most
        cdef double positions = y * x
        cdef double blocks = up(positions / most)
        cdef int vectors = TURNED[most]
        cdef double width = vectors * self.lanes
        cdef double scratch = self.scratch(z, y, x, &cost) / splits
        cdef double loads = 2 if self.alone else 0.25
        cdef double sums = 3 * splits + 4
        cdef double waiting = VECTOR
        # All blocks are as high, or nearly: where that takes as many vectors, none is repeated.
        if TURNED[<int> (positions / blocks)] == vectors:
            height = positions / blocks
        if self.anew:
            # What is laid out comes from the second cache soon enough, as each position reads what
            # is near to what the one before has read, and so do sums that wait; but what all of a
            # tall tile read gets in the way of the weights.
            scratch /= 4
            waiting /= 4
            loads = 0.25 + 0.05 * fmax(height - 7, 0)
            sums = 1.5 * splits + 5.5
        cdef double products = height * vectors / 2
        if VECTOR < 64:
            # Of two multiply-adds a cycle, ten are under way at a time.
            products = fmax(products, 5)
        # Weights are gathered for each tile where there are few.
        cdef bint near = tiles <= MOST_NEAR and not self.packed
        cost.once = 0 if near else self.packing()
        cost.multiply = 0
        for i in range(self.count):
            step = &self.steps[i]
            columns = up(step.outputs / width)
            kept = columns * z * blocks * height * vectors
            # The weights of this column and, on their way already, of the next one.
            scratch += 2 * step.taps / splits * vectors * VECTOR
            if splits > 1:
                scratch += kept * waiting
            # Transposed as it is stored, every other element at most; others go one by one.
            store = 0
            if step.along > SPREAD * self.size and step.channel != self.size:
                store = self.lanes * 2
            cost.multiply += columns * (
                z * blocks * (step.taps * (products + loads) + splits * 60)
                + width * step.taps * (0.4 if near else self.size / 48.0)
            ) + kept * (sums + store)
        cost.multiply *= spill(scratch)
        return cost

    cdef double scratch(self, double z, double y, double x, Cost *cost) noexcept nogil:
        """Bytes of a tile's lay-out, and its cycles."""
        cdef double rows = self.channels * self.phases[0] * self.phases[1] * self.phases[2]
        rows *= (z + self.halo[0]) * (y + self.halo[1])
        cdef double bytes_ = rows * (x + self.halo[2]) * self.size
        if self.planes_follow and self.halo[2] == 0 and x == self.width:
            # Planes are moved as a whole.
            cost.lay_out = bytes_ / 24 + rows * 2
        else:
            cost.lay_out = bytes_ / 8 + rows * 10
        return bytes_

    cdef bint in_lines(self, double x) noexcept nogil:
        """Whether no vector crosses from one cache line into the next."""
        return (
            VECTOR == 64
            and self.grid[1] > 1
            and self.halo[2] == 0
            and self.tapped
            and whole_lines(x, self.size)
        )

    cdef double packing(self) noexcept nogil:
        """Packing large weights waits for memory."""
        if self.packed:
            return 0
        return self.weights * (1.1 if self.weights * self.size > BUDGET else 0.8)


cdef inline double spill(double scratch) noexcept nogil:
    return 1 + 0.08 * fmax(scratch / BUDGET - 1, 0)


# ---- Winograd's tiles --------------------------------------------------------------

cpdef enum:
    TILE = 4  # outputs of a tile along an axis
    PRODUCTS = 36  # of two transforms
    MOST = 1 << 23  # bytes of a tile's transforms that are not exceeded without need
    NEAR = 1 << 22  # bytes of transformed weights of a block that are worth keeping out of memory

cdef enum:
    # Half a second-level cache, of any machine: the choice of a method must not depend on it.
    CACHE = 1 << 19

#: Blocks of output channels that go together; all do where each sum has so many products. Lower
#: blocks are more of them, and read what is transformed more often.
FEW_BLOCKS = max(40 // kernels.TALLEST, 1)
MANY_PRODUCTS = 36 * kernels.TALLEST


def block_bytes(reduction, size):
    """Of the transformed weights of a block of output channels."""
    return PRODUCTS * (kernels.TALLEST * reduction * size + VECTOR)


def winograd(
    problem, double reduction, tiles, dilation, int splits, tuple chunks, int threads
):
    """For each of `chunks` the fewest cycles, those of them that all tiles share, and the tile.

    The tile is of so many of Winograd's `tiles` along y and x. Each sum has so many products of
    each plane. The input channels are in so many parts, one after the other; the output channels
    of a tile in so many chunks.
    """
    cdef double[2][MOST_SIZES] tried
    cdef double[MOST_SIZES] places
    cdef int[2] count
    cdef double[MOST_CHUNKS] best
    cdef double[MOST_CHUNKS] shared
    cdef double[MOST_CHUNKS] shares
    cdef double[MOST_CHUNKS][2] tile
    cdef double y, x, positions, vectors, cycles, share, lay_out, multiply, seen, results
    cdef double quarters, transforms, height_seen, width_seen, stores, turns
    cdef int i, j, c
    cdef int options = len(chunks)
    (step,) = problem.steps
    cdef int size = problem.dtype.itemsize
    cdef int lanes = VECTOR // size
    cdef double outputs = step.outputs
    cdef double channels = problem.channels
    cdef double groups = problem.groups
    cdef double planes = problem.images * groups * problem.grid[0]
    cdef double blocks = up(outputs / kernels.TALLEST)
    cdef int height = <int> up(outputs / blocks)
    # What is transformed at a time, and how often all of that is read.
    cdef double at_once = up(reduction / splits)
    cdef double again = splits
    if splits == 1 and reduction < MANY_PRODUCTS:
        again = up(blocks / FEW_BLOCKS)
    cdef double weights = PRODUCTS * outputs * reduction * size
    cdef double rows = tiles[0]
    cdef double columns = tiles[1]
    cdef double apart_y = dilation[0]
    cdef double apart_x = dilation[1]
    cdef bint listed = apart_y > 1 or apart_x > 1
    # Such tiles are gathered and stored four or two at a time, or one by one.
    cdef double runs = lanes / (4 if apart_x >= 4 else 2 if apart_x >= 2 else 1.0)
    # Weights that the caches do not hold come from memory, at a few bytes a cycle.
    cdef double from_afar = weights / (4 if weights > 2 * CACHE else 32)
    from_afar += fmax(weights - 16 * CACHE, 0) / 10
    # Many transformed weights go to memory and come back, but for those of a single tile.
    cdef double once = groups * (
        weights / (4 if weights > 2 * CACHE else 6) + fmax(weights - 64 * CACHE, 0) / 2
    )
    cdef double once_alone = groups * weights / 6
    if splits > 1 or block_bytes(reduction, size) > NEAR:
        once_alone = once
    for i in range(2):
        count[i] = sizes(tiles[i], tried[i])
    for j in range(count[1]):
        places[j] = tried[1][j] if listed else kernels.row_tiles(int(tried[1][j]), size)
    for c in range(options):
        shares[c] = chunks[c]
        # For good, if the results of all blocks are too many for any tile.
        best[c], shared[c] = INFINITY, 0
        tile[c][0] = tile[c][1] = 1
    # Need: one vector of tiles of many channels may take more.
    cdef double fewest = INFINITY
    for i in range(count[0]):
        for j in range(count[1]):
            fewest = fmin(fewest, up(tried[0][i] * places[j] / lanes))
    cdef double most = fmax(MOST, transform_bytes(fewest, at_once, height))
    for i in range(count[0]):
        y = tried[0][i]
        for j in range(count[1]):
            x = tried[1][j]
            positions = y * places[j]
            vectors = up(positions / lanes)
            results = PRODUCTS * height * vectors * VECTOR
            if transform_bytes(vectors, at_once, height) > most:
                continue
            # Those of all blocks wait for more channels.
            if splits > 1 and results * blocks > MOST:
                continue
            # Rows of tiles begin with a vector or, short ones, with a quarter of one.
            quarters = up(4 * x / lanes)
            transforms = up(y * quarters / 4) if quarters <= 3 else y * up(x / lanes)
            stores = y * TILE * (10 + x * size / 16)
            if listed:
                transforms = vectors * (1 + 0.22 * runs)
                stores = vectors * runs * 110
            height_seen = up(y / apart_y) * TILE * apart_y + 2 * apart_y
            width_seen = up(x / apart_x) * TILE * apart_x + (2 * apart_x if listed else 0)
            lay_out = (
                channels * height_seen * (20 + width_seen * size / 16)
                + reduction * transforms * 400
            )
            seen = PRODUCTS * at_once * vectors * VECTOR
            multiply = (
                PRODUCTS * outputs * reduction * filled(positions, height, lanes) * 0.5
                + PRODUCTS * blocks * up(vectors / WIDE[height]) * 30
                + outputs * (vectors * 320 + stores)
                + from_afar
                # Tiles that outgrow the second-level cache are read ahead well, up to a size.
                + fmax(seen - 6 * CACHE, 0) * again / 16
                + fmax(results - CACHE, 0) * blocks / 5
                + results * blocks * (splits - 1) / 2
            )
            turns = planes * up(rows / y) * up(columns / x)
            for c in range(options):
                share = (once_alone if turns == groups else once) / threads
                cycles = share + up(turns * shares[c] / threads) * (
                    lay_out + multiply / shares[c]
                )
                if cycles < best[c]:
                    best[c], shared[c] = cycles, share
                    tile[c][0], tile[c][1] = y, x
    return [(best[c], shared[c], (int(tile[c][0]), int(tile[c][1]))) for c in range(options)]


cdef inline double transform_bytes(double vectors, double inputs, double outputs) noexcept nogil:
    """Of a tile's inputs and of the outputs that wait."""
    return PRODUCTS * VECTOR * (inputs * (vectors + 1) + outputs * vectors)
