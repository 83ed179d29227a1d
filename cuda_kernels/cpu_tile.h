// A tile in blocks of eight pixels, four wide and two high: which blocks a Gaussian can touch (one bit each), and its
// alpha over one block. Forward and backward walk the same blocks with the same arithmetic.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#ifdef __AVX__
#include <immintrin.h>
#endif

#include "gaussian_math.cuh"

// One vector from the lanes of two: 0 to 7 are x's, 8 to 15 are y's.
#ifdef __clang__
#define LF_SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define LF_SHUFFLE(x, y, ...) __builtin_shuffle(x, y, (langfield::I8{__VA_ARGS__}))
#endif

namespace langfield {

constexpr int LANES = 8, PIXELS = TILE * TILE;
constexpr int BASE = 4;  // colour and depth

typedef float F8 __attribute__((vector_size(32)));
typedef int32_t I8 __attribute__((vector_size(32)));

inline F8 all(float x) { return F8{x, x, x, x, x, x, x, x}; }
inline F8 pick(I8 mask, F8 yes, F8 no) { return mask ? yes : no; }
inline F8 keep(I8 mask, F8 x) { return (F8)(mask & (I8)x); }
inline float sum(F8 x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }

struct Packed {  // one Gaussian in one cache line
  float mx, my, a, b, c, opacity, reach, half_rows, inv_rows2, feature[BASE];
  float slope, wide2, lift;  // b / a, 2 reach / a, log2 of the opacity
};

constexpr int BLOCKS = PIXELS / LANES;
constexpr int GEOMETRY = 8;  // gradients of an entry by mean2d 2, conic 3, opacity 1; two more to fill a vector
constexpr int CHUNK = 128;   // channels worked in one walk over a tile, at most
constexpr int STEP = 8;      // features added up in registers at once

// Features of a pixel or a Gaussian: channels, filled up with zeros to fours, then colour and depth where `base`.
constexpr int fours(int channels) { return (channels + 3) / 4 * 4; }
constexpr int padded(bool base, int channels) { return fours(channels) + (base ? BASE : 0); }

struct View {
  const Packed* packed;
  const float* channels;  // [n, C] or null
  int64_t C;
  int c0, c1;  // channels of this chunk
  bool base, smooth;
  const int32_t *tile_start, *entry_gaussian, *entry_slot;
  int width, height, tiles_x;
  int features() const { return padded(base, c1 - c0); }
  int base_at() const { return fours(c1 - c0); }
  void gather(int32_t i, float* f) const {
    const int many = c1 - c0;
    if (many) std::memcpy(f, channels + i * C + c0, many * sizeof(float));
    for (int c = many; c < base_at(); c++) f[c] = 0;
    if (base) std::memcpy(f + base_at(), packed[i].feature, BASE * sizeof(float));
  }
};

inline int chunks_of(int64_t C) { return C > CHUNK ? int((C + CHUNK - 1) / CHUNK) : 1; }

inline View chunk_of(View v, int chunk) {
  v.base = v.base && chunk == 0;
  v.c0 = int(std::min<int64_t>(int64_t(chunk) * CHUNK, v.C)), v.c1 = int(std::min<int64_t>(v.c0 + CHUNK, v.C));
  return v;
}

// Bits of the lanes whose sign is set.
inline uint32_t signs(F8 x) {
#ifdef __AVX__
  return uint32_t(_mm256_movemask_ps((__m256)x));
#else
  uint32_t bits = 0;
  for (int l = 0; l < LANES; l++) bits |= uint32_t(((I8)x)[l] < 0) << l;
  return bits;
#endif
}
inline uint32_t lanes(I8 mask) { return signs((F8)mask); }

inline F8 root(F8 x) {
#ifdef __AVX__
  return (F8)_mm256_sqrt_ps((__m256)x);
#else
  for (int l = 0; l < LANES; l++) x[l] = sqrtf(x[l]);
  return x;
#endif
}

// Block p lies at column 4 x0, row 2 y0 of the tile; the order is what `touched` gives cheaply.
struct Place {
  int x, y;  // pixels
};
inline Place place_of(int p) { return {(p >> 3 & 1) * 8 + (p & 1) * 4, (p >> 4) * 8 + (p >> 1 & 3) * 2}; }
inline int pixel_x(int p, int lane) { return place_of(p).x + (lane & 3); }
inline int pixel_y(int p, int lane) { return place_of(p).y + (lane >> 2); }

// Which blocks hold a pixel centre where 0.5 a dx^2 + b dx dy + 0.5 c dy^2 can be at most `reach`. In a pixel row that
// is about -b dy / a, with half width sqrt(2 reach / a (1 - dy^2 / rows^2)), rows being the ellipse's half height;
// half_rows is that rounded up, so no block is missed. Written through a c - b^2 it would lose all digits where thin.
inline uint32_t touched(const Packed& g, float x_left, float y_top) {
  const F8 down = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};
  uint32_t bits = 0;
  for (int half = 0; half < 2; half++) {
    const F8 dy = down + all(y_top + 8 * half - g.my), rest = all(1) - dy * dy * all(g.inv_rows2);
    const F8 wide = root(pick(rest > all(0), rest, all(0)) * all(g.wide2)) + all(0.01f);
    const F8 middle = all(g.mx - x_left - 0.5f) - all(g.slope) * dy, lo = middle - wide, hi = middle + wide;
    const I8 inside = rest >= all(0);
    for (int pair = 0; pair < 2; pair++) {
      uint32_t two = 0;
      for (int side = 0; side < 2; side++) {
        const float x = 8 * pair + 4 * side;
        const uint32_t rows = lanes(inside & (lo <= all(x + 3)) & (hi >= all(x)));
        two |= ((rows | rows >> 1) & 0x55) << side;
      }
      bits |= two << (16 * half + 8 * pair);
    }
  }
  return bits;
}

struct Quick {  // a Gaussian as the blocks of one tile see it: half the conic in powers of two
  float mx, my, a, b, c, lift;
  uint32_t blocks;
};

constexpr float LOG2_E = 1.44269504088896f, LOG2_CUT = -7.99435343685886f;

inline Quick quick_of(const Packed& g, float x_left, float y_top, uint32_t blocks) {
  const float k = 0.5f * LOG2_E;
  return {g.mx - x_left, g.my - y_top, k * g.a, k * g.b, k * g.c, g.lift, blocks};
}

// 2^x for |x| < 126 to about 2e-7, relative; anything outside, so that lanes to be left out may hold what they like.
inline F8 power_of_two(F8 x) {
  const F8 shifted = x + all(12582912.0f), r = x - (shifted - all(12582912.0f));  // 1.5 * 2^23 rounds to an integer
  F8 y = all(0.00132764648f);
  y = y * r + all(0.00967554106f), y = y * r + all(0.05550713f), y = y * r + all(0.2402212f);
  y = y * r + all(0.69314697f), y = y * r + all(1.00000007f);
  return (F8)((I8)y + ((I8)shifted << 23));
}

struct Coverage {
  F8 dx, dy, gx, gy;  // offsets from the centre; gradient of the power, times LOG2_E / 2
  F8 raw, alpha;      // alpha: capped and, in smooth mode, faded
  I8 on;
};

struct Centres {
  F8 x[BLOCKS], y[BLOCKS];  // of pixels, in the tile
  Centres() {
    for (int p = 0; p < BLOCKS; p++)
      for (int l = 0; l < LANES; l++) x[p][l] = pixel_x(p, l) + 0.5f, y[p][l] = pixel_y(p, l) + 0.5f;
  }
};

template <bool SMOOTH>
inline Coverage coverage_of(const Quick& g, F8 x, F8 y) {
  Coverage o;
  o.dx = x - all(g.mx), o.dy = y - all(g.my);
  o.gx = all(g.a) * o.dx + all(g.b) * o.dy, o.gy = all(g.b) * o.dx + all(g.c) * o.dy;
  const F8 power = all(g.lift) - (o.dx * o.gx + o.dy * o.gy);
  o.on = (power >= all(LOG2_CUT)) & (power <= all(g.lift));
  o.raw = power_of_two(power);
  o.alpha = pick(o.raw < all(ALPHA_MAX), o.raw, all(ALPHA_MAX));
  if (SMOOTH) {
    const F8 u0 = o.raw / all(ALPHA_CUT) - all(1), u = pick(u0 < all(1), u0, all(1));
    o.alpha = o.alpha * u * u * (all(3) - all(2) * u);
  }
  return o;
}

// Rows to columns, eight by eight: eight features of eight pixels become eight pixels' features, and back.
inline void turn(F8* v) {
  F8 a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = LF_SHUFFLE(v[i], v[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[i + 1] = LF_SHUFFLE(v[i], v[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      b[i + 2 * j] = LF_SHUFFLE(a[i + j], a[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 2 * j + 1] = LF_SHUFFLE(a[i + j], a[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int j = 0; j < 4; j++) {
    v[j] = LF_SHUFFLE(b[j], b[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    v[j + 4] = LF_SHUFFLE(b[j], b[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// The pixels of a block in the picture.
struct Spot {
  int64_t at[LANES];  // -1 outside
  bool whole;         // none is outside
};

inline Spot spot_of(const View& v, int px, int py, int p) {
  const Place o = place_of(p);
  Spot s;
  s.whole = px + o.x + 4 <= v.width && py + o.y + 2 <= v.height;
  for (int l = 0; l < LANES; l++) {
    const int x = px + o.x + (l & 3), y = py + o.y + (l >> 2);
    s.at[l] = s.whole || (x < v.width && y < v.height) ? int64_t(y) * v.width + x : -1;
  }
  return s;
}

// The sums of eight vectors in one.
inline F8 sums(const F8* v) {
  const auto halves = [](F8 x, F8 y) {
    return LF_SHUFFLE(x, y, 0, 1, 2, 3, 8, 9, 10, 11) + LF_SHUFFLE(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
  };
  const auto pairs = [](F8 x, F8 y) {
    return LF_SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13) + LF_SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
  };
  const F8 x = pairs(halves(v[0], v[4]), halves(v[1], v[5])), y = pairs(halves(v[2], v[6]), halves(v[3], v[7]));
  return LF_SHUFFLE(x, y, 0, 2, 8, 10, 4, 6, 12, 14) + LF_SHUFFLE(x, y, 1, 3, 9, 11, 5, 7, 13, 15);
}

}  // namespace langfield
