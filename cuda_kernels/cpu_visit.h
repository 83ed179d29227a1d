// One walk over a tile, front to back, that hands the blend weights w = alpha T to a visitor, eight pixels at a time:
// what the questions to a view share (cpu_contributions.cpp, cpu_scatter.cpp). Geometry is a constant here.
#pragma once
#include <cstdint>

#include "cpu_walk.h"

namespace langfield {

inline bool some(I8 mask) {
#ifdef __AVX__
  return __builtin_ia32_movmskps256((F8)mask) != 0;
#else
  typedef int64_t I4 __attribute__((vector_size(32)));
  const I4 m = (I4)mask;
  return (m[0] | m[1] | m[2] | m[3]) != 0;
#endif
}

struct Walk {
  const Packed* packed;
  const int32_t *tile_start, *entry_gaussian;
  int width, height, tiles_x, tiles;
  bool smooth;
};

inline Walk walk_of(const float* packed, const int32_t* tile_start, const int32_t* entry_gaussian, int64_t width,
             int64_t height, int64_t smooth) {
  const int tiles_x = int((width + TILE - 1) / TILE), tiles = tiles_x * int((height + TILE - 1) / TILE);
  return {reinterpret_cast<const Packed*>(packed), tile_start, entry_gaussian, int(width), int(height), tiles_x, tiles,
          smooth != 0};
}

// Place in the picture of pixel p of a tile, or -1 outside.
inline int64_t place(const Walk& w, int tile, int p) {
  const int x = tile % w.tiles_x * TILE + p % TILE, y = tile / w.tiles_x * TILE + p / TILE;
  return x < w.width && y < w.height ? int64_t(y) * w.width + x : -1;
}

// Front to back over a tile: visit.enter(entry, i), visit.at(p, weights, T) for each vector of pixels where something
// is drawn (T: what nearer Gaussians left), visit.leave(entry).
template <typename Visitor>
void walk_tile(const Walk& w, int tile, Visitor& visit) {
  const float x_left = float(tile % w.tiles_x * TILE), y_top = float(tile / w.tiles_x * TILE);
  const float stop = w.smooth ? -1.0f : STOP_BELOW;
  F8 T[VECTORS];  // negative at pixels that are full or outside the picture
  for (int p = 0; p < PIXELS; p++) T[p / LANES][p % LANES] = place(w, tile, p) >= 0 ? 1.0f : -1.0f;
  for (int e = w.tile_start[tile]; e < w.tile_start[tile + 1]; e++) {
    if ((e - w.tile_start[tile]) % 16 == 0) {
      I8 open = {};
      for (const F8& v : T) open |= v > all(0);
      if (!some(open)) return;
    }
    const int32_t i = w.entry_gaussian[e];
    const Packed& g = w.packed[i];
    visit.enter(e, i);
    const Rows rows = rows_of(g, y_top);
    for (int y = rows.y0; y < rows.y1; y++) {
      const float dy = y_top + y + 0.5f - g.my;
      const Row row = row_of(g, x_left, dy);
      for (int x = row.v0; x < row.v1; x++) {
        const int p = y * ROW + x;
        const Alpha o = alpha_at(g, x_left + x * LANES, dy, w.smooth);
        const F8 before = T[p], next = before * (all(1) - o.alpha);
        const I8 reached = o.on & (before > all(0)), drawn = reached & (next > all(stop));
        T[p] = pick(drawn, next, pick(reached, -before, before));
        if (some(drawn)) visit.at(p, keep(drawn, o.alpha * before), before);
      }
    }
    visit.leave(e);
  }
}

}  // namespace langfield
