// Lists of the Gaussians that touch each 16x16 tile, near to far. Between the kernels stand torch's own prefix sums and
// stable sorts (langfield/raster/cuda.py): Gaussians are listed in the order of their depth, so sorting the entries by
// tile alone, stably, leaves every tile's list near to far. A tile's number fits 16 bits up to 4K pictures: two radix
// passes over 2-byte keys, where a 64-bit key of tile and depth takes six.
//
// One thread a Gaussian. One whose box holds more than LARGE tiles is worked by its whole warp, a row of tiles to each
// lane, so that a few huge Gaussians do not hold up everything.
#include "cuda_common.cuh"
#include "ellipse.cuh"

using namespace langfield;

namespace {

constexpr int LARGE = 64;

struct Screen {
  const float *means2d, *conics, *opacities;
  const int32_t* radii;
  int tiles_x, tiles_y;

  __device__ __forceinline__ Ellipse ellipse(int64_t i) const {
    if (i < 0 || radii[2 * i] <= 0 || radii[2 * i + 1] <= 0) return Ellipse{};
    return ellipse_of(means2d + 2 * i, conics + 3 * i, opacities[i], radii + 2 * i, tiles_x, tiles_y);
  }
};

__device__ __forceinline__ int tiles_in(const Columns& c) { return c.x1 > c.x0 ? c.x1 - c.x0 : 0; }

// Sum of `value` over this lane and those before it.
__device__ __forceinline__ int running_sum(int value, int lane) {
  for (int step = 1; step < WARP; step *= 2) {
    const int before = __shfl_up_sync(ALL_LANES, value, step);
    if (lane >= step) value += before;
  }
  return value;
}

// Call span(i, entry, first tile, tiles) for each row of tiles that Gaussian i touches and give their number; entries
// of a Gaussian are counted from `at`, row by row. own: this thread's Gaussian, -1 for none.
template <typename Span>
__device__ __forceinline__ int64_t each_row(const Screen& screen, int64_t own, int64_t own_at, const Span& span) {
  const Ellipse mine = screen.ellipse(own);
  const Box box = mine.box;
  const int lane = int(threadIdx.x) % WARP;
  const bool large = box.x1 > box.x0 && box.y1 > box.y0 && (box.x1 - box.x0) * (box.y1 - box.y0) > LARGE;
  int64_t found = 0;
  for (int row = box.y0; row < box.y1 && !large; row++) {
    const Columns c = tiles_in_row(mine, row);
    span(own, own_at + found, row * screen.tiles_x + c.x0, tiles_in(c));
    found += tiles_in(c);
  }
  for (unsigned todo = __ballot_sync(ALL_LANES, large); todo; todo &= todo - 1) {
    const int from = __ffs(int(todo)) - 1;
    const int64_t i = __shfl_sync(ALL_LANES, own, from), at = __shfl_sync(ALL_LANES, own_at, from);
    const Ellipse e = screen.ellipse(i);
    int64_t before = 0;
    for (int first = e.box.y0; first < e.box.y1; first += WARP) {
      const int row = first + lane;
      const Columns c = row < e.box.y1 ? tiles_in_row(e, row) : Columns{0, 0};
      const int many = tiles_in(c), up_to = running_sum(many, lane);
      span(i, at + before + up_to - many, row * screen.tiles_x + c.x0, many);
      before += __shfl_sync(ALL_LANES, up_to, WARP - 1);
    }
    if (lane == from) found = before;
  }
  return found;
}

__device__ __forceinline__ Screen screen_of(const float* means2d, const float* conics, const float* opacities,
                                            const int32_t* radii, int64_t width, int64_t height) {
  return {means2d, conics, opacities, radii, int((width + TILE - 1) / TILE), int((height + TILE - 1) / TILE)};
}

}  // namespace

// counts: int64 [n], tiles that each Gaussian touches.
extern "C" __global__ void __launch_bounds__(256)
    count_tiles(const float* means2d, const float* conics, const float* opacities, const int32_t* radii, int64_t n,
                int64_t width, int64_t height, int64_t* counts) {
  const Screen screen = screen_of(means2d, conics, opacities, radii, width, height);
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t found = each_row(screen, i < n ? i : -1, 0, [](int64_t, int64_t, int, int) {});
  if (i < n) counts[i] = found;
}

// order: int64 [n], Gaussians near to far; ends: int64 [n], running sum of their counts in that order; first: int64
// [n + 1], the same in the scene's order. Out, entry by entry: gaussian int32 [E] and its tile, in tile16 or tile32
// (the other is null); shift: int64 [n], what turns an entry's number into its place counted in the scene's order.
extern "C" __global__ void __launch_bounds__(256)
    list_entries(const float* means2d, const float* conics, const float* opacities, const int32_t* radii, int64_t n,
                 int64_t width, int64_t height, const int64_t* order, const int64_t* ends, const int64_t* first,
                 int16_t* tile16, int32_t* tile32, int32_t* gaussian, int64_t* shift) {
  const Screen screen = screen_of(means2d, conics, opacities, radii, width, height);
  const int64_t rank = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t i = rank < n ? order[rank] : -1, at = rank > 0 && rank < n ? ends[rank - 1] : 0;
  each_row(screen, i, at, [=](int64_t which, int64_t entry, int tile, int many) {
    for (int t = 0; t < many; t++) {
      gaussian[entry + t] = int32_t(which);
      if (tile16) tile16[entry + t] = int16_t(tile + t);
      else tile32[entry + t] = tile + t;
    }
  });
  if (i >= 0) shift[i] = first[i] - at;
}

// tile16 or tile32: [E] sorted; from: int64 [E], the entry that each one was. Out: start int32 [tiles + 1], gaussian and
// slot int32 [E]. One thread an entry, and one more that closes the last lists.
extern "C" __global__ void __launch_bounds__(256)
    finish_lists(const int16_t* tile16, const int32_t* tile32, const int64_t* from, const int32_t* listed,
                 const int64_t* shift, int64_t entries, int64_t tiles, int32_t* start, int32_t* gaussian, int32_t* slot) {
  const int64_t e = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (e > entries) return;
  auto tile_at = [=](int64_t k) { return tile16 ? int64_t(tile16[k]) : int64_t(tile32[k]); };
  const int64_t here = e < entries ? tile_at(e) : tiles, before = e > 0 ? tile_at(e - 1) : -1;
  for (int64_t t = before + 1; t <= here; t++) start[t] = int32_t(e);
  if (e == entries) return;
  const int32_t i = listed[from[e]];
  gaussian[e] = i, slot[e] = int32_t(from[e] + shift[i]);
}
