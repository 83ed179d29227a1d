// Alpha blending: a block of 256 threads a tile, a thread a pixel, a warp a block of 8x4 pixels, so that what touches
// one pixel of a warp mostly touches its neighbours too.
//
// Gaussians come in batches through shared memory. Of every 32, each lane asks of one whether it can reach the warp's
// block at all; the warp then walks only those that can. Features are colour and depth (kernels named base) and up to
// 32 channels in registers; more channels are further chunks, one to each blockIdx.y, which find alpha again.
#include "cuda_common.cuh"

using namespace langfield;

namespace {

constexpr int BLOCK_X = 8, BLOCK_Y = 4;  // pixels of a warp

struct Task {
  const float4* packed;
  const float* channels;
  int64_t C, c0;
  const int32_t *start, *gaussian;
  int width, height;
  bool smooth;
  float *colour, *depth, *drawn, *transmittance;
  int32_t* last;
};

template <int W>
__device__ __forceinline__ void store_channels(float* to, const float* sum, int64_t left, bool quads) {
#pragma unroll
  for (int c = 0; c < W; c += 4) {
    if (quads && c < left)  // whole sectors of memory in one request
      *reinterpret_cast<float4*>(to + c) = make_float4(sum[c], sum[c + 1], sum[c + 2], sum[c + 3]);
    else
#pragma unroll
      for (int k = c; k < c + 4; k++)
        if (k < left) to[k] = sum[k];
  }
}

template <bool HAS_BASE, int W>
__device__ __forceinline__ void blend_tile(const Task& v) {
  constexpr int FIRST = HAS_BASE ? BASE : 0, F = FIRST + W, N = W < 16 ? 256 : 128;
  __shared__ float4 place[N], form[N], feature[N * F / 4];
  const int tiles_x = (v.width + TILE - 1) / TILE, tile = int(blockIdx.x), warp = int(threadIdx.x) / WARP;
  const int lane = int(threadIdx.x) % WARP, left = tile % tiles_x * TILE + warp % 2 * BLOCK_X;
  const int top = tile / tiles_x * TILE + warp / 2 * BLOCK_Y, px = left + lane % BLOCK_X, py = top + lane / BLOCK_X;
  const float x = float(px) + 0.5f, y = float(py) + 0.5f, x0 = float(left) + 0.5f, y0 = float(top) + 0.5f;
  const int64_t c0 = v.c0 + int64_t(blockIdx.y) * W;
  const int begin = v.start[tile], end = v.start[tile + 1];
  const float stop = v.smooth ? -1 : STOP_BELOW;
  const bool inside = px < v.width && py < v.height;
  bool open = inside;
  float T = 1, sum[F] = {};
  int last = 0;
  for (int first = begin; first < end; first += N) {
    if (__syncthreads_count(open) == 0) break;  // also: nobody still reads the batch before
    const int count = end - first < N ? end - first : N;
    load_batch<HAS_BASE, W>(v.packed, v.channels, v.C, c0, v.gaussian + first, count, place, form, feature);
    __syncthreads();
    for (int j0 = 0; j0 < count && __any_sync(ALL_LANES, open); j0 += WARP) {
      const int asked = j0 + lane;
      const bool met = asked < count && reaches(place_of(place[asked], form[asked]), x0, y0, x0 + BLOCK_X - 1, y0 + BLOCK_Y - 1);
      for (unsigned todo = __ballot_sync(ALL_LANES, met); todo; todo &= todo - 1) {
        const int j = j0 + __ffs(int(todo)) - 1;
        const Alpha o = alpha_at(place_of(place[j], form[j]), x, y, v.smooth);
        if (!open || !o.on) continue;
        const float next = T * (1 - o.alpha);
        open = next > stop;
        if (!open) continue;
        const float weight = o.alpha * T;
        T = next, last = first - begin + j + 1;
#pragma unroll
        for (int q = 0; q < F / 4; q++) {
          const float4 f = feature[j * (F / 4) + q];
          sum[4 * q] += weight * f.x, sum[4 * q + 1] += weight * f.y;
          sum[4 * q + 2] += weight * f.z, sum[4 * q + 3] += weight * f.w;
        }
      }
    }
  }
  if (!inside) return;
  const int64_t at = int64_t(py) * v.width + px;
  if (HAS_BASE) {
    for (int c = 0; c < 3; c++) v.colour[3 * at + c] = sum[c];
    v.depth[at] = sum[3];
  }
  if (v.last && blockIdx.y == 0) v.transmittance[at] = T, v.last[at] = last;
  if (W > 0) store_channels<W>(v.drawn + at * v.C + c0, sum + FIRST, v.C - c0, v.C % 4 == 0);
}

}  // namespace

// packed: float [n, 12] of pack_splats; channels: [n, C]; the first chunk starts at channel c0. Out: colour [H, W, 3],
// depth [H, W], drawn [H, W, C], transmittance [H, W], last int32 [H, W] (1 + place in the tile's list of the last
// Gaussian drawn; null with transmittance where they are known). grid: tiles, chunks.
#define BLEND_ARGUMENTS                                                                                           \
  const float *packed, const float *channels, int64_t C, int64_t c0, const int32_t *start, const int32_t *gaussian, \
      int64_t width, int64_t height, int64_t smooth, float *colour, float *depth, float *drawn, float *transmittance, \
      int32_t *last
#define BLEND_TASK                                                                                                 \
  {reinterpret_cast<const float4*>(packed), channels, C, c0, start, gaussian, int(width), int(height), smooth != 0, \
   colour, depth, drawn, transmittance, last}

extern "C" {
__global__ void __launch_bounds__(256) blend_base(BLEND_ARGUMENTS) { blend_tile<true, 0>(BLEND_TASK); }
__global__ void __launch_bounds__(256) blend_base_4(BLEND_ARGUMENTS) { blend_tile<true, 4>(BLEND_TASK); }
__global__ void __launch_bounds__(256) blend_base_8(BLEND_ARGUMENTS) { blend_tile<true, 8>(BLEND_TASK); }
__global__ void __launch_bounds__(256) blend_base_16(BLEND_ARGUMENTS) { blend_tile<true, 16>(BLEND_TASK); }
__global__ void __launch_bounds__(256) blend_base_32(BLEND_ARGUMENTS) { blend_tile<true, 32>(BLEND_TASK); }
__global__ void __launch_bounds__(256) blend_channels_8(BLEND_ARGUMENTS) { blend_tile<false, 8>(BLEND_TASK); }
__global__ void __launch_bounds__(256, 4) blend_channels_16(BLEND_ARGUMENTS) { blend_tile<false, 16>(BLEND_TASK); }
__global__ void __launch_bounds__(256) blend_channels_32(BLEND_ARGUMENTS) { blend_tile<false, 32>(BLEND_TASK); }
}
