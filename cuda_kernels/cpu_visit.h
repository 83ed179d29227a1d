// One walk over a tile, front to back, that hands the blend weights w = alpha T to a visitor, eight pixels at a time:
// what the questions to a view share (cpu_contributions.cpp, cpu_scatter.cpp). Geometry is a constant here.
#pragma once
#include <cstdint>

#include "cpu_tile.h"

namespace langfield {

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

// Place in the picture of lane p % 8 of block p / 8 of a tile, or -1 outside.
inline int64_t place(const Walk& w, int tile, int p) {
  const int x = tile % w.tiles_x * TILE + pixel_x(p / LANES, p % LANES);
  const int y = tile / w.tiles_x * TILE + pixel_y(p / LANES, p % LANES);
  return x < w.width && y < w.height ? int64_t(y) * w.width + x : -1;
}

template <bool SMOOTH, typename Visitor>
void visit_tile(const Walk& w, int tile, Visitor& visit) {
  static const Centres centre;
  const float x_left = float(tile % w.tiles_x * TILE), y_top = float(tile / w.tiles_x * TILE);
  const F8 stop = all(SMOOTH ? -1.0f : STOP_BELOW);
  F8 T[BLOCKS];  // negative at pixels that are full or outside the picture
  for (int p = 0; p < PIXELS; p++) T[p / LANES][p % LANES] = place(w, tile, p) >= 0 ? 1.0f : -1.0f;
  uint32_t open = ~0u;
  for (int e = w.tile_start[tile]; e < w.tile_start[tile + 1] && open; e++) {
    const int32_t i = w.entry_gaussian[e];
    const Quick g = quick_of(w.packed[i], x_left, y_top, touched(w.packed[i], x_left, y_top) & open);
    if (!g.blocks) continue;
    visit.enter(e, i);
    for (uint32_t left = g.blocks; left; left &= left - 1) {
      const int p = __builtin_ctz(left);
      const Coverage o = coverage_of<SMOOTH>(g, centre.x[p], centre.y[p]);
      const F8 before = T[p], next = before * (all(1) - o.alpha);
      const I8 reached = o.on & (before > all(0)), drawn = reached & (next > stop);
      T[p] = pick(drawn, next, pick(reached, -before, before));
      if (signs(T[p]) == 0xff) open &= ~(1u << p);
      if (lanes(drawn)) visit.at(p, keep(drawn, o.alpha * before), before);
    }
    visit.leave(e);
  }
}

// Front to back over a tile: visit.enter(entry, i), visit.at(p, weights, T) for each block of pixels where something
// is drawn (T: what nearer Gaussians left), visit.leave(entry). Entries that touch no open block are passed over.
template <typename Visitor>
void walk_tile(const Walk& w, int tile, Visitor& visit) {
  w.smooth ? visit_tile<true>(w, tile, visit) : visit_tile<false>(w, tile, visit);
}

}  // namespace langfield
