// What the CUDA kernels that walk a tile share: one Gaussian in three float4, its alpha at a pixel, and which of the
// rectangles that a warp draws it can touch. No cooperative groups and no libraries, so that g++ compiles it too.
//
// Arrays are dense, row-major. Every kernel argument is a pointer or an int64_t.
#pragma once
#include "gaussian_math.cuh"

namespace langfield {

constexpr unsigned ALL_LANES = 0xffffffffu;
constexpr int WARP = 32;
constexpr int PACKED = 3;  // float4 of a packed Gaussian: mx my a b, c opacity reach 0, red green blue depth
constexpr int BASE = 4;    // features that are always there: colour and depth

struct Place {  // one Gaussian as the arithmetic of a pixel wants it
  float mx, my, a, b, c, opacity, reach;  // reach: the greatest power at which alpha is not cut off, and a little
};

__device__ __forceinline__ Place place_of(float4 p, float4 q) { return {p.x, p.y, p.z, p.w, q.x, q.y, q.z}; }

struct Alpha {
  float dx, dy, bell, raw, alpha;  // raw = opacity * bell; alpha: capped and, in smooth mode, faded
  bool on;
};

__device__ __forceinline__ Alpha alpha_at(const Place& g, float x, float y, bool smooth) {
  Alpha o;
  o.dx = x - g.mx, o.dy = y - g.my;
  const float power = 0.5f * (g.a * o.dx * o.dx + g.c * o.dy * o.dy) + g.b * o.dy * o.dx;
  o.bell = expf(-power), o.raw = g.opacity * o.bell;
  o.alpha = o.raw < ALPHA_MAX ? o.raw : ALPHA_MAX;
  o.on = o.raw >= ALPHA_CUT && power >= 0;
  if (smooth) {
    const float u0 = o.raw / ALPHA_CUT - 1, u = u0 < 1 ? u0 : 1;
    o.alpha = o.alpha * u * u * (3 - 2 * u);
  }
  return o;
}

// d alpha / d raw; zero where the cap holds.
__device__ __forceinline__ float alpha_slope(const Alpha& o, bool smooth) {
  if (o.raw > ALPHA_MAX) return 0;
  if (!smooth) return 1;
  const float u0 = o.raw / ALPHA_CUT - 1, u = u0 < 1 ? u0 : 1;
  const float slope = u0 < 1 ? 6 / ALPHA_CUT * u * (1 - u) : 0;
  return u * u * (3 - 2 * u) + o.raw * slope;
}

// Whether the Gaussian can reach a pixel centre of the rectangle. The least power on a rectangle that does not hold
// the centre lies on the side that faces it, across or down; both are tried. Never false where a pixel is drawn: the
// bound is wider by what rounding can take away.
__device__ __forceinline__ bool reaches(const Place& g, float x0, float y0, float x1, float y1) {
  const float dx = clampf(g.mx, x0, x1) - g.mx, dy = clampf(g.my, y0, y1) - g.my;
  const float ex = clampf(g.mx - __fdividef(g.b * dy, g.a), x0, x1) - g.mx, ey = clampf(g.my - __fdividef(g.b * dx, g.c), y0, y1) - g.my;
  const float across = 0.5f * (g.a * ex * ex + g.c * dy * dy), down = 0.5f * (g.a * dx * dx + g.c * ey * ey);
  constexpr float SLACK = 1e-5f;
  return !(across + g.b * ex * dy > g.reach + SLACK * across) || !(down + g.b * dx * ey > g.reach + SLACK * down);
}

// Gaussian `entry` of a tile's list into shared memory; features are colour and depth, then W channels from c0 on,
// zero past the last one.
template <bool HAS_BASE, int W>
__device__ __forceinline__ void load_batch(const float4* packed, const float* channels, int64_t C, int64_t c0,
                                           const int32_t* ids, int count, float4* place, float4* form, float4* feature) {
  constexpr int F = (HAS_BASE ? BASE : 0) + W, FIRST = HAS_BASE ? BASE : 0;
  for (int j = int(threadIdx.x); j < count; j += int(blockDim.x)) {
    const float4* g = packed + int64_t(PACKED) * ids[j];
    place[j] = g[0], form[j] = g[1];
    if (HAS_BASE) feature[j * (F / 4)] = g[2];
  }
  if (W == 0) return;
  constexpr int QUADS = W / 4 > 0 ? W / 4 : 1;
  for (int t = int(threadIdx.x); t < count * QUADS; t += int(blockDim.x)) {
    const int j = t / QUADS, c = t % QUADS * 4;
    const float* row = channels + ids[j] * C + c0 + c;
    const int64_t left = C - c0 - c;
    float4 f = make_float4(0, 0, 0, 0);
    if (left >= 4 && C % 4 == 0) f = *reinterpret_cast<const float4*>(row);
    else {
      if (left > 0) f.x = row[0];
      if (left > 1) f.y = row[1];
      if (left > 2) f.z = row[2];
      if (left > 3) f.w = row[3];
    }
    feature[(j * F + FIRST + c) / 4] = f;
  }
}

}  // namespace langfield
