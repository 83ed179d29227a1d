// Segments of one view: each (Gaussian, segment) that meets, with the sum of its blend weights, in one walk whatever
// the number of segments. A block a tile; its segments get small numbers, so that a batch of Gaussians times the tile's
// segments is a table in shared memory; what is not zero in it goes to the records, which the host sorts and adds up.
#include "cuda_visit.cuh"

using namespace langfield;

namespace {

constexpr int LEVELS = 4;     // of one walk, as in cuda_contributions.py
constexpr int CELLS = 2048;   // of the table; a tile has at most LEVELS * 256 segments, so two Gaussians always fit

struct Out {
  int64_t *cursor, capacity, *key;  // key: (Gaussian * all levels + level) << 31 | segment
  float *gated, *every, *total;     // total: [n], null where another walk counts it
  int64_t levels, level0;           // all there are; the first of this walk
};

struct Scatter {
  static constexpr bool WARP_WIDE = true;
  int own[LEVELS];  // number of this pixel's segment at each level, -1: none
  int segments;     // of the tile, over all levels
  const int32_t* segment;
  const int* level_end;
  float light, floor;
  float2* cells;  // [Gaussian of the batch][segment]: gated, all
  float* totals;
  int* taken;
  int64_t* base;
  Out out;

  __device__ __forceinline__ void begin(int many) {
    for (int c = int(threadIdx.x); c < many * segments; c += THREADS) cells[c] = make_float2(0, 0);
    for (int j = int(threadIdx.x); j < many; j += THREADS) totals[j] = 0;
    if (threadIdx.x == 0) *taken = 0;
  }

  __device__ __forceinline__ void at(int j, int32_t, float w, float before) {
    const float gated = before > light && w >= floor ? w : 0, sum = warp_sum(w);
    const int lane = int(threadIdx.x) % WARP;
    if (lane == 0) atomicAdd(totals + j, sum);
#pragma unroll
    for (int level = 0; level < LEVELS; level++) {
      const int mine = w > 0 ? own[level] : -1;
      for (unsigned todo = __ballot_sync(ALL_LANES, mine >= 0); todo;) {
        const int now = __shfl_sync(ALL_LANES, mine, __ffs(int(todo)) - 1);
        const float one = warp_sum(mine == now ? gated : 0), other = warp_sum(mine == now ? w : 0);
        float2* cell = cells + j * segments + now;
        if (lane == 0) atomicAdd(&cell->x, one), atomicAdd(&cell->y, other);
        todo &= ~__ballot_sync(ALL_LANES, mine == now);
      }
    }
  }

  __device__ __forceinline__ int level_of(int s) const {
    int level = 0;
    while (s >= level_end[level]) level++;
    return level;
  }

  // Where there is not room for all records, nothing is written past the end, and the cursor says how many there are.
  __device__ __forceinline__ void end(int many, const int32_t* ids) {
    __syncthreads();
    int mine = 0;
    for (int c = int(threadIdx.x); c < many * segments; c += THREADS) mine += cells[c].y > 0;
    int64_t at = mine ? atomicAdd(taken, mine) : 0;
    __syncthreads();
    if (threadIdx.x == 0)
      *base = int64_t(atomicAdd(reinterpret_cast<unsigned long long*>(out.cursor), static_cast<unsigned long long>(*taken)));
    if (out.total)
      for (int j = int(threadIdx.x); j < many; j += THREADS)
        if (totals[j] > 0) atomicAdd(out.total + ids[j], totals[j]);
    __syncthreads();
    at += *base;
    for (int c = int(threadIdx.x); c < many * segments; c += THREADS) {
      if (!(cells[c].y > 0)) continue;
      if (at < out.capacity) {
        const int s = c % segments;
        out.key[at] = (int64_t(ids[c / segments]) * out.levels + out.level0 + level_of(s)) << 31 | segment[s];
        out.gated[at] = cells[c].x, out.every[at] = cells[c].y;
      }
      at++;
    }
  }
};

// Number the different ids of a tile from `from` on, in the order of the threads that hold them first; gives the end.
__device__ __forceinline__ int number(int32_t id, int from, int32_t* ids, int* numbers, int* warps, int32_t* segment,
                                      int* own) {
  const int t = int(threadIdx.x), lane = t % WARP, warp = t / WARP;
  ids[t] = id;
  __syncthreads();
  int holder = 0;
  while (ids[holder] != id) holder++;
  const bool first = holder == t && id >= 0;
  const unsigned firsts = __ballot_sync(ALL_LANES, first);
  if (lane == 0) warps[warp] = __popc(firsts);
  __syncthreads();
  int before = from + __popc(firsts & ((1u << lane) - 1)), end = from;
  for (int w = 0; w < THREADS / WARP; w++) before += w < warp ? warps[w] : 0, end += warps[w];
  if (first) numbers[t] = before, segment[before] = id;
  __syncthreads();
  *own = id >= 0 ? numbers[holder] : -1;
  __syncthreads();
  return end;
}

}  // namespace

// packed: float [n, 12] of pack_splats; segments: int32 [levels, H, W], -1: none, of which this walk takes `many` (at
// most 4) from level0 on; gate: the light that must be left, the least weight. cursor: int64 [1], zero; key int64,
// gated, every: [capacity]; total: zeros [n] or null. grid: tiles.
extern "C" __global__ void __launch_bounds__(256)
    scatter_segments(const float* packed, const int32_t* start, const int32_t* gaussian, int64_t width, int64_t height,
                     int64_t smooth, const int32_t* segments, int64_t levels, int64_t level0, int64_t many,
                     const float* gate, int64_t capacity, int64_t* cursor, int64_t* key, float* gated, float* every,
                     float* total) {
  __shared__ float2 cells[CELLS];
  __shared__ float totals[BATCH];
  __shared__ int32_t segment[LEVELS * THREADS], ids[THREADS];
  __shared__ int numbers[THREADS], warps[THREADS / WARP], level_end[LEVELS], taken;
  __shared__ int64_t base;
  const View v = view_of(packed, start, gaussian, width, height, smooth);
  const Pixel pixel = own_pixel(v);
  Scatter scatter = {{}, 0, segment, level_end, gate[0], gate[1], cells, totals, &taken, &base,
                     {cursor, capacity, key, gated, every, total, levels, level0}};
#pragma unroll
  for (int level = 0; level < LEVELS; level++) {
    const bool some = pixel.inside && level < many;
    const int32_t id = some ? segments[(level0 + level) * width * height + pixel.at] : -1;
    scatter.own[level] = -1;
    if (level < many)
      scatter.segments = number(id, scatter.segments, ids, numbers, warps, segment, &scatter.own[level]);
    if (threadIdx.x == 0) level_end[level] = scatter.segments;
  }
  const int fits = CELLS / (scatter.segments > 0 ? scatter.segments : 1);
  walk(v, fits < BATCH ? fits : BATCH, scatter);
}
