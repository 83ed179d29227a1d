// What every kernel that walks a tile on the CPU shares: eight pixels at once, one Gaussian in one cache line, and
// which pixels of the tile it can touch. Tiles are 16x16 pixels, worked row by row in vectors of eight.
#pragma once
#include <cstdint>

#include "gaussian_math.cuh"

namespace langfield {

constexpr int LANES = 8, ROW = TILE / LANES, PIXELS = TILE * TILE, VECTORS = PIXELS / LANES;
constexpr int BASE = 4;  // colour and depth

typedef float F8 __attribute__((vector_size(32)));
typedef int32_t I8 __attribute__((vector_size(32)));

inline F8 all(float x) { return F8{x, x, x, x, x, x, x, x}; }
inline F8 pick(I8 mask, F8 yes, F8 no) { return mask ? yes : no; }
inline F8 keep(I8 mask, F8 x) { return (F8)(mask & (I8)x); }
inline float sum(F8 x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }

// exp(x) for x <= 0 to about 1e-7, relative; below -87 it gives the value at -87 (about 1e-38).
inline F8 exp_negative(F8 x) {
  x = pick(x > all(-87), x, all(-87));
  const F8 shift = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const F8 n = (x * all(1.44269504088896f) + shift) - shift;
  const F8 r = (x - n * all(0.693145751953125f)) - n * all(1.42860682030941723e-6f);
  F8 y = all(1.0f / 720);
  y = y * r + all(1.0f / 120), y = y * r + all(1.0f / 24), y = y * r + all(1.0f / 6);
  y = y * r + all(0.5f), y = y * r + all(1), y = y * r + all(1);
  return (F8)((I8)y + (__builtin_convertvector(n, I8) << 23));
}

struct Packed {  // one Gaussian in one cache line
  float mx, my, a, b, c, opacity, reach, half_rows, inv_rows2, feature[BASE];
  float slope, wide2, lift;  // b / a, 2 reach / a, log2 of the opacity
};

struct Row {
  int v0, v1;  // vectors of the tile's row that can be touched, end exclusive
};

// The part of a pixel row where 0.5 a dx^2 + b dx dy + 0.5 c dy^2 can be at most `reach`: about -b dy / a, with
// half width sqrt(2 reach / a (1 - dy^2 / rows^2)), rows being the ellipse's half height. half_rows is that rounded
// up, so the part is never too short; writing it through a c - b^2 instead loses all digits for thin Gaussians.
inline Row row_of(const Packed& g, float x_left, float dy) {
  const float rest = 1 - dy * dy * g.inv_rows2;
  if (!(rest >= 0)) return {0, 0};
  const float half = sqrtf(2 * g.reach * rest / g.a) + 0.01f, x = g.mx - g.b * dy / g.a - x_left - 0.5f;
  const float lo = clampf(ceilf(x - half), 0, TILE), hi = clampf(floorf(x + half), -1, TILE - 1);
  return hi < lo ? Row{0, 0} : Row{int(lo) / LANES, int(hi) / LANES + 1};
}

struct Rows {
  int y0, y1;
};

inline Rows rows_of(const Packed& g, float y_top) {
  const float y = g.my - y_top - 0.5f;
  const float lo = clampf(ceilf(y - g.half_rows), 0, TILE), hi = clampf(floorf(y + g.half_rows), -1, TILE - 1);
  return {int(lo), int(hi) + 1};
}

struct Alpha {
  F8 dx, bell, raw, alpha;  // raw = opacity * bell; alpha: capped and, in smooth mode, faded
  I8 on;
};

const F8 LANE = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};

inline Alpha alpha_at(const Packed& g, float x_left, float dy, bool smooth) {
  Alpha o;
  o.dx = LANE + all(x_left - g.mx);
  const F8 sigma = all(0.5f) * (all(g.a) * o.dx * o.dx + all(g.c * dy * dy)) + all(g.b * dy) * o.dx;
  o.bell = exp_negative(-sigma);
  o.raw = all(g.opacity) * o.bell;
  o.alpha = pick(o.raw < all(ALPHA_MAX), o.raw, all(ALPHA_MAX));
  o.on = (o.alpha >= all(ALPHA_CUT)) & (sigma >= all(0));
  if (smooth) {
    const F8 u0 = o.raw / all(ALPHA_CUT) - all(1), u = pick(u0 < all(1), u0, all(1));
    o.alpha = o.alpha * u * u * (all(3) - all(2) * u);
  }
  return o;
}

}  // namespace langfield
