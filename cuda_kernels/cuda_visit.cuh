// The walk over a tile that hands every (Gaussian, pixel) with its blend weight w = alpha T to a visitor: what the
// kernels of contributions.cu and scatter.cu share. 256 threads a tile, a warp a block of 8x4 pixels.
#pragma once
#include "cuda_common.cuh"

namespace langfield {

constexpr int THREADS = TILE * TILE, BATCH = 128;
constexpr int BLOCK_X = 8, BLOCK_Y = 4;  // pixels of a warp

struct View {
  const float4* packed;
  const int32_t *start, *gaussian;
  int width, height;
  bool smooth;
};

__device__ __forceinline__ View view_of(const float* packed, const int32_t* start, const int32_t* gaussian,
                                        int64_t width, int64_t height, int64_t smooth) {
  return {reinterpret_cast<const float4*>(packed), start, gaussian, int(width), int(height), smooth != 0};
}

struct Pixel {
  int x, y;
  bool inside;
  int64_t at;  // place in the picture; 0 outside
};

__device__ __forceinline__ Pixel own_pixel(const View& v) {
  const int tiles_x = (v.width + TILE - 1) / TILE, tile = int(blockIdx.x), warp = int(threadIdx.x) / WARP;
  const int lane = int(threadIdx.x) % WARP;
  Pixel o;
  o.x = tile % tiles_x * TILE + warp % 2 * BLOCK_X + lane % BLOCK_X;
  o.y = tile / tiles_x * TILE + warp / 2 * BLOCK_Y + lane / BLOCK_X;
  o.inside = o.x < v.width && o.y < v.height;
  o.at = o.inside ? int64_t(o.y) * v.width + o.x : 0;
  return o;
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int far = WARP / 2; far; far /= 2) x += __shfl_xor_sync(ALL_LANES, x, far);
  return x;
}

// Front to back, `most` Gaussians (at most BATCH) of the list at a time: visit.begin(many); then visit.at(place in the
// batch, Gaussian, weight, what nearer ones left) for those that are drawn, or, where Visitor::WARP_WIDE, for a whole
// warp as soon as one of its lanes is drawn, with weight 0 in the others; visit.end(many, ids).
template <class Visitor>
__device__ __forceinline__ void walk(const View& v, int most, Visitor& visit) {
  __shared__ float4 place[BATCH], form[BATCH];
  __shared__ int32_t ids[BATCH];
  const Pixel pixel = own_pixel(v);
  const int lane = int(threadIdx.x) % WARP, begin = v.start[blockIdx.x], end = v.start[blockIdx.x + 1];
  const float x = float(pixel.x) + 0.5f, y = float(pixel.y) + 0.5f;
  const float x0 = x - float(lane % BLOCK_X), y0 = y - float(lane / BLOCK_X);
  const float stop = v.smooth ? -1 : STOP_BELOW;
  bool open = pixel.inside;
  float T = 1;
  for (int first = begin; first < end; first += most) {
    if (__syncthreads_count(open) == 0) break;  // also: nobody still reads the batch before
    const int many = end - first < most ? end - first : most;
    for (int j = int(threadIdx.x); j < many; j += THREADS) {
      ids[j] = v.gaussian[first + j];
      const float4* g = v.packed + int64_t(PACKED) * ids[j];
      place[j] = g[0], form[j] = g[1];
    }
    visit.begin(many);
    __syncthreads();
    for (int j0 = 0; j0 < many && __any_sync(ALL_LANES, open); j0 += WARP) {
      const int asked = j0 + lane;
      const bool met = asked < many && reaches(place_of(place[asked], form[asked]), x0, y0, x0 + BLOCK_X - 1, y0 + BLOCK_Y - 1);
      for (unsigned todo = __ballot_sync(ALL_LANES, met); todo; todo &= todo - 1) {
        const int j = j0 + __ffs(int(todo)) - 1;
        const Alpha o = alpha_at(place_of(place[j], form[j]), x, y, v.smooth);
        const float before = T;
        float weight = 0;
        if (open && o.on) {
          const float next = T * (1 - o.alpha);
          open = next > stop;
          if (open) weight = o.alpha * T, T = next;
        }
        if (Visitor::WARP_WIDE ? __any_sync(ALL_LANES, weight > 0) != 0 : weight > 0)
          visit.at(j, ids[j], weight, before);
      }
    }
    visit.end(many, ids);
  }
}

}  // namespace langfield
