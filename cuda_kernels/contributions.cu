// Questions to one view beside its picture: the largest contributors of a pixel and what sparse codes blend to. A block
// of 256 threads a tile, a thread a pixel, a warp a block of 8x4 pixels, as in blend_forward.cu; each kernel is a
// visitor of the walk in cuda_visit.cuh. Geometry is a constant here.
#include "cuda_visit.cuh"

using namespace langfield;

namespace {

constexpr int ATOMS = 32;  // as in cuda_contributions.py

template <int K>
struct Top {  // the K largest weights so far, in registers, largest first
  static constexpr bool WARP_WIDE = false;
  float weight[K];
  int32_t id[K];
  __device__ __forceinline__ void begin(int) {}
  __device__ __forceinline__ void end(int, const int32_t*) {}
  __device__ __forceinline__ void at(int, int32_t i, float w, float) {
    if (!(w > weight[K - 1])) return;
    bool placed = false;  // from its place on all others move back by one: the nearer of equals stays ahead
#pragma unroll
    for (int j = 0; j < K; j++) {
      placed = placed || w > weight[j];
      const float held = weight[j];
      const int32_t held_id = id[j];
      weight[j] = placed ? w : held, id[j] = placed ? i : held_id;
      w = placed ? held : w, i = placed ? held_id : i;
    }
  }
};

template <int K>
__device__ __forceinline__ void top_tile(const View& v, int64_t k, int32_t* ids, float* weights) {
  Top<K> top;
#pragma unroll
  for (int j = 0; j < K; j++) top.weight[j] = 0, top.id[j] = -1;
  walk(v, BATCH, top);
  const Pixel pixel = own_pixel(v);
  if (!pixel.inside) return;
#pragma unroll
  for (int j = 0; j < K; j++)
    if (j < k) ids[pixel.at * k + j] = top.id[j], weights[pixel.at * k + j] = top.weight[j];
}

struct Codes {  // the sums of 32 atoms of every pixel in shared memory, [atom][thread]: no thread meets another's
  static constexpr bool WARP_WIDE = false;
  const int32_t* index;
  const float* weight;
  int64_t K, a0;
  float* sums;
  __device__ __forceinline__ void begin(int) {}
  __device__ __forceinline__ void end(int, const int32_t*) {}
  __device__ __forceinline__ void at(int, int32_t i, float w, float) {
    for (int64_t k = i * K; k < (i + 1) * K; k++) {
      const int64_t a = index[k] - a0;
      if (a >= 0 && a < ATOMS) sums[a * THREADS + threadIdx.x] += w * weight[k];
    }
  }
};

struct CodesBackward {  // a warp adds up what its pixels give to each pair of a Gaussian
  static constexpr bool WARP_WIDE = true;
  const int32_t* index;
  const float* v_out;  // of this pixel
  int64_t K;
  float* v_weight;
  __device__ __forceinline__ void begin(int) {}
  __device__ __forceinline__ void end(int, const int32_t*) {}
  __device__ __forceinline__ void at(int, int32_t i, float w, float) {
    for (int64_t k = i * K; k < (i + 1) * K; k++) {
      const float sum = warp_sum(w > 0 ? w * v_out[index[k]] : 0);
      if (threadIdx.x % WARP == 0) atomicAdd(v_weight + k, sum);
    }
  }
};

}  // namespace

// packed: float [n, 12] of pack_splats; start, gaussian: the tile lists. Out: ids int32 [H, W, k], -1 where there are
// fewer; weights [H, W, k], falling. k is at most the number in the kernel's name. grid: tiles.
extern "C" {
__global__ void __launch_bounds__(256, 4)
    top_4(const float* packed, const int32_t* start, const int32_t* gaussian, int64_t width, int64_t height,
          int64_t smooth, int64_t k, int32_t* ids, float* weights) {
  top_tile<4>(view_of(packed, start, gaussian, width, height, smooth), k, ids, weights);
}
__global__ void __launch_bounds__(256, 4)
    top_8(const float* packed, const int32_t* start, const int32_t* gaussian, int64_t width, int64_t height,
          int64_t smooth, int64_t k, int32_t* ids, float* weights) {
  top_tile<8>(view_of(packed, start, gaussian, width, height, smooth), k, ids, weights);
}
__global__ void __launch_bounds__(256, 3)
    top_16(const float* packed, const int32_t* start, const int32_t* gaussian, int64_t width, int64_t height,
           int64_t smooth, int64_t k, int32_t* ids, float* weights) {
  top_tile<16>(view_of(packed, start, gaussian, width, height, smooth), k, ids, weights);
}
__global__ void __launch_bounds__(256, 2)
    top_32(const float* packed, const int32_t* start, const int32_t* gaussian, int64_t width, int64_t height,
           int64_t smooth, int64_t k, int32_t* ids, float* weights) {
  top_tile<32>(view_of(packed, start, gaussian, width, height, smooth), k, ids, weights);
}

// index: int32 [n, K] in 0 .. A - 1; weight: [n, K]; out: [H, W, A]. grid: tiles, ceil(A / 32).
__global__ void __launch_bounds__(256)
    splat_codes(const float* packed, const int32_t* start, const int32_t* gaussian, int64_t width, int64_t height,
                int64_t smooth, const int32_t* index, const float* weight, int64_t K, int64_t A, float* out) {
  __shared__ float sums[ATOMS * THREADS];
  const View v = view_of(packed, start, gaussian, width, height, smooth);
  Codes codes = {index, weight, K, int64_t(blockIdx.y) * ATOMS, sums};
  for (int a = 0; a < ATOMS; a++) sums[a * THREADS + threadIdx.x] = 0;
  walk(v, BATCH, codes);
  const Pixel pixel = own_pixel(v);
  const int64_t left = A - codes.a0 < ATOMS ? A - codes.a0 : ATOMS;
  if (!pixel.inside) return;
  for (int a = 0; a < left; a++) out[pixel.at * A + codes.a0 + a] = sums[a * THREADS + threadIdx.x];
}

// Of every row r = Gaussian * L + level: sum over k of weight[r, k] table[level, index[r, k]], for Q questions at once.
// table: [L, A, Q]; out: [rows, Q]; wrong: 0, becomes 1 where an index is none of 0 .. A - 1 (it is left out), 2 where a
// weight is not finite. One thread a row.
__global__ void __launch_bounds__(256)
    look_up_scores(const int32_t* index, const float* weight, const float* table, int64_t rows, int64_t L, int64_t K,
                   int64_t A, int64_t Q, float* out, int32_t* wrong) {
  const int64_t r = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (r >= rows) return;
  const float* own = table + r % L * A * Q;
  for (int64_t q = 0; q < Q; q++) {
    float sum = 0;
    for (int64_t k = r * K; k < (r + 1) * K; k++) {
      const int32_t a = index[k];
      const bool inside = a >= 0 && a < A;
      if (q == 0 && !inside) atomicMax(wrong, 1);
      if (q == 0 && !isfinite(weight[k])) atomicMax(wrong, 2);
      if (inside) sum += weight[k] * own[a * Q + q];
    }
    out[r * Q + q] = sum;
  }
}

// v_out: [H, W, A]; v_weight: zeros [n, K], added to. grid: tiles.
__global__ void __launch_bounds__(256, 4)
    splat_codes_backward(const float* packed, const int32_t* start, const int32_t* gaussian, int64_t width,
                         int64_t height, int64_t smooth, const int32_t* index, int64_t K, int64_t A, const float* v_out,
                         float* v_weight) {
  const View v = view_of(packed, start, gaussian, width, height, smooth);
  CodesBackward codes = {index, v_out + own_pixel(v).at * A, K, v_weight};
  walk(v, BATCH, codes);
}
}
