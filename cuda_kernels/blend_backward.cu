// Gradients of alpha blending: a block of 128 threads a tile, a warp a block of 8x8 pixels, a thread two pixels of it,
// back to front. What was in front of a Gaussian is found by dividing its share out of the light again, what lies
// behind it is kept as one number a pixel.
//
// A Gaussian's gradients (6 of its shape, 4 of colour and depth, W channels) are sums over pixels. Each lane adds up
// its two pixels; then the warp adds up 32 sums at once by halving: with the lane 16 away each lane exchanges the half
// of the sums it does not keep for the half it does, then with the lane 8 away, and so on. That takes 31 exchanges
// instead of 160, and leaves sum k in lane k, so that one atomic request writes 32 numbers side by side.
#include "cuda_common.cuh"

using namespace langfield;

namespace {

constexpr int SIDE = 8, ROWS = 4, HALVES = 2;  // a warp's block of pixels: two halves of 8x4
constexpr int SHAPE = 6;                       // gradients by mean2d 2, conic 3, opacity 1

struct Task {
  const float4* packed;
  const float* channels;
  int64_t C, c0;
  const int32_t *start, *gaussian;
  int width, height;
  bool smooth, shapes;
  const float* transmittance;
  const int32_t* last;
  const float *v_colour, *v_depth, *v_drawn, *v_transmittance;
  float *sums, *v_channels;
};

template <int STEP>
__device__ __forceinline__ void exchange(float* value, int lane) {
  if constexpr (STEP > 0) {
    const bool upper = lane & STEP;
#pragma unroll
    for (int k = 0; k < STEP; k++) {
      const float low = value[k], high = value[k + STEP];
      value[k] = (upper ? high : low) + __shfl_xor_sync(ALL_LANES, upper ? low : high, STEP);
    }
    exchange<STEP / 2>(value, lane);
  }
}

// Lane k is left with the sum of value[k] over all lanes; with M = 16, lanes k and k + 16 are.
template <int M>
__device__ __forceinline__ float add_across(float* value, int lane) {
  exchange<M / 2>(value, lane);
  return M == 16 ? value[0] + __shfl_xor_sync(ALL_LANES, value[0], 16) : value[0];
}

// Where the first value of a Gaussian's sums goes: the shape's and the base's side by side, then its channels.
template <int FIXED, int W>
__device__ __forceinline__ void add_to(const Task& v, int64_t i, int64_t c0, int k, float total) {
  if (k < FIXED) atomicAdd(v.sums + 4 * PACKED * i + k, total);
  else if (k < FIXED + W && c0 + k - FIXED < v.C) atomicAdd(v.v_channels + i * v.C + c0 + k - FIXED, total);
}

template <bool HAS_BASE, int W>
__device__ __forceinline__ void load_pixel(const Task& v, int64_t at, int64_t c0, float* to) {
  constexpr int FIRST = HAS_BASE ? BASE : 0;
  if (HAS_BASE) {
    for (int c = 0; c < 3; c++) to[c] = v.v_colour[3 * at + c];
    to[3] = v.v_depth[at];
  }
  const float* row = v.v_drawn + at * v.C + c0;
#pragma unroll
  for (int c = 0; c < W; c += 4) {
    if (v.C % 4 == 0 && c < v.C - c0) {
      const float4 f = *reinterpret_cast<const float4*>(row + c);
      to[FIRST + c] = f.x, to[FIRST + c + 1] = f.y, to[FIRST + c + 2] = f.z, to[FIRST + c + 3] = f.w;
    } else
#pragma unroll
      for (int k = c; k < c + 4; k++) to[FIRST + k] = k < v.C - c0 ? row[k] : 0;
  }
}

template <int F>
struct Pixel {
  float x, y, T, behind, v[F];  // behind: what all that lies behind adds to the loss
  int last;
};

// One Gaussian at one pixel of each lane: adds to its 6 + F sums. False where no lane has drawn it.
template <int F>
__device__ __forceinline__ bool unblend(const Task& v, const Place& g, const float4* feature, int k, Pixel<F>& p,
                                        float* value) {
  const Alpha o = alpha_at(g, p.x, p.y, v.smooth);
  const bool drawn = o.on && k < p.last;
  if (!__any_sync(ALL_LANES, drawn)) return false;
  const float inv = __fdividef(1, 1 - o.alpha), T = drawn ? p.T * inv : p.T, weight = drawn ? o.alpha * T : 0;
  p.T = T;
  float s = 0;
#pragma unroll
  for (int q = 0; q < F / 4; q++) {
    const float4 f = feature[q];
    s += p.v[4 * q] * f.x + p.v[4 * q + 1] * f.y + p.v[4 * q + 2] * f.z + p.v[4 * q + 3] * f.w;
#pragma unroll
    for (int c = 4 * q; c < 4 * q + 4; c++) value[SHAPE + c] += weight * p.v[c];
  }
  if (!v.shapes) return true;
  const float v_raw = drawn ? (T * s - p.behind * inv) * alpha_slope(o, v.smooth) : 0, v_power = -o.raw * v_raw;
  p.behind += weight * s;
  value[0] -= v_power * (g.a * o.dx + g.b * o.dy), value[1] -= v_power * (g.b * o.dx + g.c * o.dy);
  value[2] += 0.5f * o.dx * o.dx * v_power, value[3] += o.dx * o.dy * v_power;
  value[4] += 0.5f * o.dy * o.dy * v_power, value[5] += o.bell * v_raw;
  return true;
}

template <bool HAS_BASE, int W>
__device__ __forceinline__ void unblend_tile(const Task& v) {
  constexpr int FIRST = HAS_BASE ? BASE : 0, F = FIRST + W, VALUES = SHAPE + F, N = 128;
  constexpr int PADDED = VALUES <= 16 ? 16 : VALUES <= 32 ? 32 : VALUES <= 48 ? 48 : 64;
  __shared__ float4 place[N], form[N], feature[N * F / 4];
  __shared__ int deepest;
  const int tiles_x = (v.width + TILE - 1) / TILE, tile = int(blockIdx.x), warp = int(threadIdx.x) / WARP;
  const int lane = int(threadIdx.x) % WARP, left = tile % tiles_x * TILE + warp % 2 * SIDE;
  const int top = tile / tiles_x * TILE + warp / 2 * SIDE;
  const int64_t c0 = v.c0 + int64_t(blockIdx.y) * W;
  const float x0 = float(left) + 0.5f, y0 = float(top) + 0.5f;
  Pixel<F> pixel[HALVES];
  int most = 0;  // entries that any pixel of the warp has drawn end here
#pragma unroll
  for (int h = 0; h < HALVES; h++) {
    Pixel<F>& p = pixel[h];
    const int px = left + lane % SIDE, py = top + h * ROWS + lane / SIDE;
    p.x = float(px) + 0.5f, p.y = float(py) + 0.5f, p.T = 1, p.behind = 0, p.last = 0;
#pragma unroll
    for (int c = 0; c < F; c++) p.v[c] = 0;
    if (px >= v.width || py >= v.height) continue;
    const int64_t at = int64_t(py) * v.width + px;
    p.T = v.transmittance[at], p.last = v.last[at];
    if (v.v_transmittance && blockIdx.y == 0) p.behind = v.v_transmittance[at] * p.T;
    load_pixel<HAS_BASE, W>(v, at, c0, p.v);
    most = p.last > most ? p.last : most;
  }
  for (int step = WARP / 2; step > 0; step /= 2) {
    const int other = __shfl_xor_sync(ALL_LANES, most, step);
    most = other > most ? other : most;
  }
  if (threadIdx.x == 0) deepest = 0;
  __syncthreads();
  if (lane == 0) atomicMax(&deepest, most);
  __syncthreads();
  const int begin = v.start[tile], all = deepest;
  for (int last = all; last > 0; last -= N) {  // entries first to last of the list, counted in the tile
    const int first = last > N ? last - N : 0, count = last - first;
    __syncthreads();  // nobody still reads the batch before
    load_batch<HAS_BASE, W>(v.packed, v.channels, v.C, c0, v.gaussian + begin + first, count, place, form, feature);
    __syncthreads();
    for (int j0 = (count - 1) / WARP * WARP; j0 >= 0; j0 -= WARP) {
      const int asked = j0 + lane;
      bool met[HALVES] = {false, false};
      if (asked < count && first + asked < most) {
        const Place g = place_of(place[asked], form[asked]);
        met[0] = reaches(g, x0, y0, x0 + SIDE - 1, y0 + ROWS - 1);
        met[1] = reaches(g, x0, y0 + ROWS, x0 + SIDE - 1, y0 + 2 * ROWS - 1);
      }
      const unsigned upper = __ballot_sync(ALL_LANES, met[0]), lower = __ballot_sync(ALL_LANES, met[1]);
      for (unsigned todo = upper | lower; todo;) {
        const int bit = 31 - __clz(int(todo)), j = j0 + bit;
        todo &= ~(1u << bit);
        const Place g = place_of(place[j], form[j]);
        float value[PADDED] = {};
        bool some = false;
        if (upper >> bit & 1) some |= unblend<F>(v, g, feature + j * (F / 4), first + j, pixel[0], value);
        if (lower >> bit & 1) some |= unblend<F>(v, g, feature + j * (F / 4), first + j, pixel[1], value);
        if (!some) continue;
        const int64_t i = v.gaussian[begin + first + j];
        if (PADDED == 16) {
          const float total = add_across<16>(value, lane);
          if (lane < 16) add_to<SHAPE + FIRST, W>(v, i, c0, lane, total);
        } else {
          add_to<SHAPE + FIRST, W>(v, i, c0, lane, add_across<32>(value, lane));
          if (PADDED > 32) {
            constexpr int REST = PADDED > 48 ? 32 : 16;
            const float total = add_across<REST>(value + (PADDED > 32 ? 32 : 0), lane);
            if (lane < REST) add_to<SHAPE + FIRST, W>(v, i, c0, 32 + lane, total);
          }
        }
      }
    }
  }
}

}  // namespace

// Arguments as blend_*; shapes: whether gradients of mean2d, conic and opacity are wanted. transmittance and last as
// blend_* gave them; v_colour [H, W, 3], v_depth [H, W], v_drawn [H, W, C]; v_transmittance [H, W], null where another
// launch counts it. Added to: sums float [n, 12] (mean2d 2, conic 3, opacity, colour 3, depth, 2 unused), v_channels
// [n, C]. grid: tiles, chunks. The order of the additions is not fixed, so the last digits change from run to run.
#define UNBLEND_ARGUMENTS                                                                                         \
  const float *packed, const float *channels, int64_t C, int64_t c0, const int32_t *start, const int32_t *gaussian, \
      int64_t width, int64_t height, int64_t smooth, int64_t shapes, const float *transmittance, const int32_t *last, \
      const float *v_colour, const float *v_depth, const float *v_drawn, const float *v_transmittance, float *sums, \
      float *v_channels
#define UNBLEND_TASK                                                                                               \
  {reinterpret_cast<const float4*>(packed), channels, C, c0, start, gaussian, int(width), int(height), smooth != 0, \
   shapes != 0, transmittance, last, v_colour, v_depth, v_drawn, v_transmittance, sums, v_channels}

extern "C" {
__global__ void __launch_bounds__(128) unblend_base(UNBLEND_ARGUMENTS) { unblend_tile<true, 0>(UNBLEND_TASK); }
__global__ void __launch_bounds__(128, 5) unblend_base_4(UNBLEND_ARGUMENTS) { unblend_tile<true, 4>(UNBLEND_TASK); }
__global__ void __launch_bounds__(128) unblend_base_8(UNBLEND_ARGUMENTS) { unblend_tile<true, 8>(UNBLEND_TASK); }
__global__ void __launch_bounds__(128) unblend_base_16(UNBLEND_ARGUMENTS) { unblend_tile<true, 16>(UNBLEND_TASK); }
__global__ void __launch_bounds__(128, 2) unblend_base_32(UNBLEND_ARGUMENTS) { unblend_tile<true, 32>(UNBLEND_TASK); }
__global__ void __launch_bounds__(128, 5) unblend_channels_8(UNBLEND_ARGUMENTS) { unblend_tile<false, 8>(UNBLEND_TASK); }
__global__ void __launch_bounds__(128) unblend_channels_16(UNBLEND_ARGUMENTS) { unblend_tile<false, 16>(UNBLEND_TASK); }
__global__ void __launch_bounds__(128, 2) unblend_channels_32(UNBLEND_ARGUMENTS) { unblend_tile<false, 32>(UNBLEND_TASK); }
}
