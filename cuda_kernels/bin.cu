// Lists of the Gaussians that touch each 16x16 tile, near to far. Between the kernels stand torch's own prefix sums and
// stable sorts (langfield/raster/cuda.py): Gaussians are listed in the order of their depth, so sorting the entries by
// tile alone, stably, leaves every tile's list near to far. A tile's number fits 16 bits up to 4K pictures: two radix
// passes over 2-byte keys, where a 64-bit key of tile and depth takes six.
//
// One thread a Gaussian. One whose box holds more than LARGE tiles is worked by its whole warp, 32 tiles at a time, so
// that a few huge Gaussians do not hold up everything.
#include "cuda_common.cuh"

using namespace langfield;

namespace {

constexpr int LARGE = 64;

struct Splat {
  Place place;
  Box box;
  int tiles;  // of the box
};

__device__ __forceinline__ bool touches(const Splat& s, int t, int width_of_box) {
  const float x = float((s.box.x0 + t % width_of_box) * TILE) + 0.5f, y = float((s.box.y0 + t / width_of_box) * TILE) + 0.5f;
  return reaches(s.place, x, y, x + TILE - 1, y + TILE - 1);
}

struct Screen {
  const float *means2d, *conics, *opacities;
  const int32_t* radii;
  int tiles_x, tiles_y;

  __device__ __forceinline__ Splat splat(int64_t i) const {
    Splat s = {};
    if (radii[2 * i] <= 0 || radii[2 * i + 1] <= 0) return s;
    const float opacity = opacities[i], reach = logf(opacity / ALPHA_CUT) + 1e-3f;
    s.place = {means2d[2 * i], means2d[2 * i + 1], conics[3 * i], conics[3 * i + 1], conics[3 * i + 2], opacity, reach};
    s.box = tiles_of(means2d + 2 * i, radii + 2 * i, tiles_x, tiles_y);
    const int w = s.box.x1 - s.box.x0, h = s.box.y1 - s.box.y0;
    s.tiles = w > 0 && h > 0 ? w * h : 0;
    return s;
  }
};

// Call hit(place among the Gaussian's entries, tile) for each tile it touches and give their number; `own` is -1 in
// threads without a Gaussian. Large ones: every lane of the warp works on the Gaussian of one lane, whose `at` tells
// each where the Gaussian's entries begin.
template <typename Hit>
__device__ __forceinline__ int64_t each_tile(const Screen& screen, int64_t own, int64_t own_at, const Hit& hit) {
  const Splat mine = own < 0 ? Splat{} : screen.splat(own);
  const int lane = int(threadIdx.x) % WARP;
  int64_t found = 0;
  if (mine.tiles <= LARGE) {
    const int w = mine.box.x1 - mine.box.x0;
    for (int t = 0; t < mine.tiles; t++)
      if (touches(mine, t, w)) hit(own, own_at + found++, (mine.box.y0 + t / w) * screen.tiles_x + mine.box.x0 + t % w);
  }
  for (unsigned large = __ballot_sync(ALL_LANES, mine.tiles > LARGE); large; large &= large - 1) {
    const int from = __ffs(int(large)) - 1;
    const int64_t i = __shfl_sync(ALL_LANES, own, from), at = __shfl_sync(ALL_LANES, own_at, from);
    const Splat s = screen.splat(i);
    const int w = s.box.x1 - s.box.x0;
    int64_t before = 0;
    for (int first = 0; first < s.tiles; first += WARP) {
      const int t = first + lane;
      const bool here = t < s.tiles && touches(s, t, w);
      const unsigned all = __ballot_sync(ALL_LANES, here);
      if (here)
        hit(i, at + before + __popc(all & ((1u << lane) - 1)), (s.box.y0 + t / w) * screen.tiles_x + s.box.x0 + t % w);
      before += __popc(all);
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
  const int64_t found = each_tile(screen, i < n ? i : -1, 0, [](int64_t, int64_t, int) {});
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
  each_tile(screen, i, at, [=](int64_t which, int64_t entry, int tile) {
    gaussian[entry] = int32_t(which);
    if (tile16) tile16[entry] = int16_t(tile);
    else tile32[entry] = tile;
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
