// Lists of the Gaussians that touch each tile, near to far. Every step is shared among threads by parts of the
// Gaussians, counted before anything is moved, so that the lists do not depend on the number of threads.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cpu_threads.h"
#include "ellipse.cuh"

using namespace langfield;

namespace {

constexpr int BLOCK = 1024, BITS = 11, DIGITS = 1 << BITS;

struct Splats {
  const float *means2d, *conics, *opacities;
  const int32_t* radii;
  int64_t n;
  int tiles_x, tiles_y;
};

Splats splats_of(const float* means2d, const float* conics, const float* opacities, const int32_t* radii, int64_t n,
                 int64_t width, int64_t height) {
  return {means2d, conics, opacities, radii, n, int((width + TILE - 1) / TILE), int((height + TILE - 1) / TILE)};
}

template <typename Visit>
void each_row(const Splats& s, int64_t i, const Visit& visit) {
  if (s.radii[2 * i] <= 0 || s.radii[2 * i + 1] <= 0) return;
  const Ellipse e = ellipse_of(s.means2d + 2 * i, s.conics + 3 * i, s.opacities[i], s.radii + 2 * i, s.tiles_x, s.tiles_y);
  for (int y = e.box.y0; y < e.box.y1; y++) visit(y, tiles_in_row(e, y));
}

// Counters of `kinds` kinds for each of some parts of a list, turned into the place where each part puts each kind.
struct Places {
  int32_t* count;
  int64_t parts, kinds;
  int32_t* of(int64_t part) const { return count + part * kinds; }
  void clear() const { std::fill(count, count + parts * kinds, 0); }
  void add_up(int32_t* start) const {  // start: [kinds + 1], or null
    int32_t sum = 0;
    for (int64_t k = 0; k < kinds; k++) {
      if (start) start[k] = sum;
      for (int64_t p = 0; p < parts; p++) sum += std::exchange(of(p)[k], sum);
    }
    if (start) start[kinds] = sum;
  }
};

// Run visit(part, i) over the list cut into parts; each part in order, by one thread.
template <typename Visit>
void each_part(int64_t parts, int64_t n, const Visit& visit) {
  for_each_unit(parts, parts, [&](int64_t part) {
    for (int64_t i = n * part / parts; i < n * (part + 1) / parts; i++) visit(part, i);
  });
}

struct Sorting {
  int32_t *order, *order2;
  uint32_t *keys, *keys2;
};

// Least significant digit first, stable: equal depths keep their order in the scene. The result is in `order`.
void sort_by_depth(Sorting& s, int64_t n, int32_t* count, int64_t parts) {
  for (int shift = 0; shift < 32; shift += BITS, std::swap(s.order, s.order2), std::swap(s.keys, s.keys2)) {
    const Places places = {count, parts, DIGITS};
    places.clear();
    const auto digit = [&](int64_t i) { return s.keys[i] >> shift & (DIGITS - 1); };
    each_part(parts, n, [&](int64_t part, int64_t i) { places.of(part)[digit(i)]++; });
    places.add_up(nullptr);
    each_part(parts, n, [&](int64_t part, int64_t i) {
      const int32_t to = places.of(part)[digit(i)]++;
      s.order2[to] = s.order[i], s.keys2[to] = s.keys[i];
    });
  }
}

}  // namespace

extern "C" {

// first: int64 [n + 1], entries of Gaussian i are first[i] .. first[i + 1]; gives their number.
int64_t lf_count_tiles(const float* means2d, const float* conics, const float* opacities, const int32_t* radii,
                       int64_t n, int64_t width, int64_t height, int64_t threads, int64_t* first) {
  const Splats s = splats_of(means2d, conics, opacities, radii, n, width, height);
  for_each_in_blocks(threads, n, BLOCK, [&](int64_t i) {
    int64_t count = 0;
    each_row(s, i, [&](int, Columns c) { count += c.x1 - c.x0; });
    first[i + 1] = count;
  });
  first[0] = 0;
  for (int64_t i = 0; i < n; i++) first[i + 1] += first[i];
  return first[n];
}

// tile_start: int32 [tiles + 1]; entry_gaussian, entry_slot: int32 [E], tile by tile, near to far; a slot is the
// entry's place when counted Gaussian by Gaussian. scratch: int32 [4 n + E + threads max(tiles, 2048)].
void lf_fill_tiles(const float* means2d, const float* conics, const float* opacities, const int32_t* radii,
                   const float* depths, int64_t n, int64_t width, int64_t height, int64_t threads, const int64_t* first,
                   int32_t* scratch, int32_t* tile_start, int32_t* entry_gaussian, int32_t* entry_slot) {
  const Splats s = splats_of(means2d, conics, opacities, radii, n, width, height);
  uint32_t* keys = reinterpret_cast<uint32_t*>(scratch + 2 * n);
  Sorting by_depth = {scratch, scratch + n, keys, keys + n};
  int32_t *tile_of = scratch + 4 * n, *count = tile_of + first[n];
  for_each_in_blocks(threads, n, BLOCK, [&](int64_t i) {
    int32_t* to = tile_of + first[i];
    each_row(s, i, [&](int y, Columns c) {
      for (int x = c.x0; x < c.x1; x++) *to++ = y * s.tiles_x + x;
    });
  });
  int64_t seen = 0;
  for (int64_t i = 0; i < n; i++)
    if (first[i + 1] > first[i]) {  // depths are positive: their bits sort like they do
      by_depth.order[seen] = int32_t(i);
      std::memcpy(by_depth.keys + seen++, depths + i, sizeof(float));
    }
  sort_by_depth(by_depth, seen, count, threads);
  const Places places = {count, threads, int64_t(s.tiles_x) * s.tiles_y};
  places.clear();
  const int32_t* order = by_depth.order;
  each_part(threads, seen, [&](int64_t part, int64_t k) {
    for (int64_t slot = first[order[k]]; slot < first[order[k] + 1]; slot++) places.of(part)[tile_of[slot]]++;
  });
  places.add_up(tile_start);
  each_part(threads, seen, [&](int64_t part, int64_t k) {
    for (int64_t slot = first[order[k]]; slot < first[order[k] + 1]; slot++) {
      const int32_t at = places.of(part)[tile_of[slot]]++;
      entry_gaussian[at] = order[k], entry_slot[at] = int32_t(slot);
    }
  });
}

}  // extern "C"
