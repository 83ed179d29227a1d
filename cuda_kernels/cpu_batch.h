// Blend weights of a tile, 64 Gaussians at a time, near to far: which blocks of eight pixels each can touch, then block
// by block the weights of those that are drawn, with the light that still passes in a register.
#pragma once
#include <cstdint>
#include <cstring>

#include "cpu_tile.h"

namespace langfield {

constexpr int BATCH = 64;

struct Light {  // of one tile
  F8 T[BLOCKS];  // negative at pixels that are full or outside the picture
  I8 last[BLOCKS];
  Quick quick[BATCH];
  uint64_t wanted[BLOCKS];  // Gaussians of the batch that touch a block
  F8 weight[BATCH];         // of one block: those that were drawn, and which they are
  int32_t drawn[BATCH];
};

// Rows of 32 bits to columns (Warren, Hacker's Delight, section 7-3, mirrored): bit p of a[k] becomes bit k of a[p].
inline void transpose(uint32_t* a) {
  uint32_t mask = 0x0000ffff;
  for (int j = 16; j; j >>= 1, mask ^= mask << j)
    for (int k = 0; k < 32; k = (k + j + 1) & ~j) {
      const uint32_t swap = (a[k] >> j ^ a[k + j]) & mask;
      a[k] ^= swap << j, a[k + j] ^= swap;
    }
}

// Give the number of Gaussians drawn at block p; their weights lie in t.weight.
template <bool SMOOTH>
int weigh(Light& t, int p, int k0, F8 x, F8 y) {
  const F8 stop = all(SMOOTH ? -1.0f : STOP_BELOW);
  F8 T = t.T[p];
  I8 last = t.last[p];
  int many = 0;
  for (uint64_t left = t.wanted[p]; left; left &= left - 1) {
    const int k = __builtin_ctzll(left);
    const Coverage o = coverage_of<SMOOTH>(t.quick[k], x, y);
    const F8 next = T * (all(1) - o.alpha);
    const I8 reached = o.on & (T > all(0)), drawn = reached & (next > stop);
    t.weight[many] = keep(drawn, o.alpha * T), t.drawn[many] = k;
    many += lanes(drawn) != 0;
    T = pick(drawn, next, pick(reached, -T, T));
    last = (drawn & (k0 + k + 1)) | (~drawn & last);
    if (signs(T) == 0xff) break;
  }
  t.T[p] = T, t.last[p] = last;
  return many;
}

// Begin a tile whose upper left pixel is px, py.
inline void begin(Light& t, int px, int py, int width, int height) {
  std::memset(t.last, 0, sizeof t.last);
  for (int p = 0; p < BLOCKS; p++)
    for (int l = 0; l < LANES; l++)
      t.T[p][l] = px + pixel_x(p, l) < width && py + pixel_y(p, l) < height ? 1.0f : -1.0f;
}

// Load the Gaussians of list[0] to list[many]; says whether any block is still open.
inline bool load(const Packed* packed, Light& t, const int32_t* list, int many, float px, float py) {
  uint32_t rows[BATCH] = {}, open = 0;
  for (int p = 0; p < BLOCKS; p++) open |= uint32_t(signs(t.T[p]) != 0xff) << p;
  if (!open) return false;
  for (int k = 0; k < many; k++) {
    rows[k] = touched(packed[list[k]], px, py) & open;
    t.quick[k] = quick_of(packed[list[k]], px, py, rows[k]);
  }
  transpose(rows), transpose(rows + 32);
  for (int p = 0; p < BLOCKS; p++) t.wanted[p] = rows[p] | uint64_t(rows[32 + p]) << 32;
  return true;
}

}  // namespace langfield
