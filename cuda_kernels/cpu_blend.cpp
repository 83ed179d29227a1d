// Alpha blending on the CPU, forward and backward. Within a tile the loop runs over Gaussians, then over the pixel
// rows each one touches, eight pixels at a time; a buffer holds the light that still passes at each pixel.
//
// Features of a Gaussian are its colour, its depth and any number of channels, worked in chunks of CHUNK channels so
// that a tile's buffers stay in the cache; the first chunk carries colour and depth as well.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu_threads.h"
#include "cpu_walk.h"

using namespace langfield;

namespace {

constexpr int CHUNK = 64, WIDTH = BASE + CHUNK;  // features worked at once, at most
constexpr int GEOMETRY = 6;                      // gradients by mean2d 2, conic 3, opacity 1

struct View {
  const Packed* packed;
  const float* channels;  // [n, C] or null
  int64_t C;
  int c0, c1;  // channels of this chunk
  bool base, smooth;
  const int32_t *tile_start, *entry_gaussian, *entry_slot;
  int width, height, tiles_x;
  int features() const { return (base ? BASE : 0) + (c1 - c0); }
  void gather(int32_t i, float* f) const {
    if (base) std::memcpy(f, packed[i].feature, BASE * sizeof(float));
    if (c1 > c0) std::memcpy(f + (base ? BASE : 0), channels + i * C + c0, (c1 - c0) * sizeof(float));
  }
};

// d alpha / d raw where the cap does not hold.
inline F8 alpha_slope(const Alpha& o, bool smooth) {
  const I8 free = o.raw <= all(ALPHA_MAX);
  if (!smooth) return keep(free, all(1));
  const F8 u0 = o.raw / all(ALPHA_CUT) - all(1), u = pick(u0 < all(1), u0, all(1));
  const F8 fade = u * u * (all(3) - all(2) * u);
  const F8 slope = keep(u0 < all(1), all(6 / ALPHA_CUT) * u * (all(1) - u));
  return keep(free, fade + o.raw * slope);
}

struct ForwardTile {
  F8 T[VECTORS], sum[WIDTH][VECTORS];  // T is negative at pixels that are full or outside the picture
  I8 last[VECTORS];
};

bool any_open(const ForwardTile& t) {
  I8 open = {};
  for (const F8& v : t.T) open |= v > all(0);
  for (int l = 0; l < LANES; l++)
    if (open[l]) return true;
  return false;
}

template <int FIXED>  // number of features where known when compiling, else 0
void blend_entry(const View& v, ForwardTile& t, int32_t i, int k, float x_left, float y_top, float stop) {
  const Packed& g = v.packed[i];
  float f[WIDTH];
  v.gather(i, f);
  const int F = FIXED ? FIXED : v.features();
  const Rows rows = rows_of(g, y_top);
  for (int y = rows.y0; y < rows.y1; y++) {
    const float dy = y_top + y + 0.5f - g.my;
    const Row row = row_of(g, x_left, dy);
    for (int x = row.v0; x < row.v1; x++) {
      const int p = y * ROW + x;
      const Alpha o = alpha_at(g, x_left + x * LANES, dy, v.smooth);
      const F8 T = t.T[p], next = T * (all(1) - o.alpha);
      const I8 reached = o.on & (T > all(0)), drawn = reached & (next > all(stop));
      t.T[p] = pick(drawn, next, pick(reached, -T, T));
      t.last[p] = (drawn & (k + 1)) | (~drawn & t.last[p]);
      const F8 weight = keep(drawn, o.alpha * T);
      for (int c = 0; c < F; c++) t.sum[c][p] += weight * all(f[c]);
    }
  }
}

struct Outputs {
  float *colour, *depth, *channels, *transmittance;
  int32_t* last;  // 1 + place in the tile's list of the last Gaussian drawn
};

void blend_tile(const View& v, int tile, const Outputs& out, ForwardTile& t) {
  const int px = tile % v.tiles_x * TILE, py = tile / v.tiles_x * TILE, F = v.features();
  const float stop = v.smooth ? -1.0f : STOP_BELOW;
  std::memset(t.last, 0, sizeof t.last), std::memset(t.sum, 0, F * sizeof t.sum[0]);
  float* T = reinterpret_cast<float*>(t.T);
  for (int p = 0; p < PIXELS; p++) T[p] = px + p % TILE < v.width && py + p / TILE < v.height ? 1.0f : -1.0f;
  const int begin = v.tile_start[tile], count = v.tile_start[tile + 1] - begin;
  for (int k = 0; k < count; k++) {
    if (k % 16 == 0 && !any_open(t)) break;
    if (F == BASE) blend_entry<BASE>(v, t, v.entry_gaussian[begin + k], k, px, py, stop);
    else blend_entry<0>(v, t, v.entry_gaussian[begin + k], k, px, py, stop);
  }
  const float* s = reinterpret_cast<const float*>(t.sum);
  const int32_t* last = reinterpret_cast<const int32_t*>(t.last);
  for (int p = 0; p < PIXELS; p++) {
    const int x = px + p % TILE, y = py + p / TILE, first = v.base ? BASE : 0;
    if (x >= v.width || y >= v.height) continue;
    const int64_t at = int64_t(y) * v.width + x;
    if (v.base) {
      for (int c = 0; c < 3; c++) out.colour[3 * at + c] = s[c * PIXELS + p];
      out.depth[at] = s[3 * PIXELS + p], out.transmittance[at] = std::abs(T[p]), out.last[at] = last[p];
    }
    for (int c = v.c0; c < v.c1; c++) out.channels[at * v.C + c] = s[(first + c - v.c0) * PIXELS + p];
  }
}

struct BackwardTile {
  F8 T[VECTORS], behind[VECTORS], v[WIDTH][VECTORS];  // behind: what all that lies behind adds to the loss
  I8 last[VECTORS];
};

struct Gradients {
  const float *v_colour, *v_depth, *v_channels, *v_transmittance, *transmittance;
  const int32_t* last;
  float* entries;  // [E, GEOMETRY + features]
  bool geometry;
};

template <int FIXED>
void unblend_entry(const View& v, BackwardTile& t, int32_t i, int k, float x_left, float y_top, bool geometry, float* to) {
  const Packed& g = v.packed[i];
  float f[WIDTH];
  v.gather(i, f);
  const int F = FIXED ? FIXED : v.features();
  F8 v_f[WIDTH], v_g[GEOMETRY] = {};
  for (int c = 0; c < F; c++) v_f[c] = F8{};
  const Rows rows = rows_of(g, y_top);
  for (int y = rows.y0; y < rows.y1; y++) {
    const float dy = y_top + y + 0.5f - g.my;
    const Row row = row_of(g, x_left, dy);
    for (int x = row.v0; x < row.v1; x++) {
      const int p = y * ROW + x;
      const Alpha o = alpha_at(g, x_left + x * LANES, dy, v.smooth);
      const I8 drawn = o.on & (k < t.last[p]);
      const F8 inv = all(1) / (all(1) - o.alpha), T = pick(drawn, t.T[p] * inv, t.T[p]);
      const F8 weight = keep(drawn, o.alpha * T);
      t.T[p] = T;
      F8 s = {};
      for (int c = 0; c < F; c++) s += t.v[c][p] * all(f[c]), v_f[c] += weight * t.v[c][p];
      if (!geometry) continue;
      const F8 v_raw = keep(drawn, (T * s - t.behind[p] * inv) * alpha_slope(o, v.smooth));
      t.behind[p] += weight * s;
      const F8 v_sigma = -o.raw * v_raw;
      v_g[0] -= v_sigma * (all(g.a) * o.dx + all(g.b * dy)), v_g[1] -= v_sigma * (all(g.b) * o.dx + all(g.c * dy));
      v_g[2] += all(0.5f) * o.dx * o.dx * v_sigma, v_g[3] += o.dx * all(dy) * v_sigma;
      v_g[4] += all(0.5f * dy * dy) * v_sigma, v_g[5] += o.bell * v_raw;
    }
  }
  for (int c = 0; c < GEOMETRY; c++) to[c] = sum(v_g[c]);
  for (int c = 0; c < F; c++) to[GEOMETRY + c] = sum(v_f[c]);
}

void unblend_tile(const View& v, int tile, const Gradients& in, BackwardTile& t) {
  const int px = tile % v.tiles_x * TILE, py = tile / v.tiles_x * TILE, F = v.features(), first = v.base ? BASE : 0;
  float *T = reinterpret_cast<float*>(t.T), *behind = reinterpret_cast<float*>(t.behind);
  float* pixel = reinterpret_cast<float*>(t.v);
  int32_t *last = reinterpret_cast<int32_t*>(t.last), most = 0;
  for (int p = 0; p < PIXELS; p++) {
    const int x = px + p % TILE, y = py + p / TILE;
    const int64_t at = int64_t(y) * v.width + x;
    const bool inside = x < v.width && y < v.height;
    T[p] = inside ? in.transmittance[at] : 1, last[p] = inside ? in.last[at] : 0;
    behind[p] = inside && v.base ? in.v_transmittance[at] * T[p] : 0;
    if (v.base) {
      for (int c = 0; c < 3; c++) pixel[c * PIXELS + p] = inside ? in.v_colour[3 * at + c] : 0;
      pixel[3 * PIXELS + p] = inside ? in.v_depth[at] : 0;
    }
    for (int c = v.c0; c < v.c1; c++)
      pixel[(first + c - v.c0) * PIXELS + p] = inside ? in.v_channels[at * v.C + c] : 0;
    most = std::max(most, last[p]);
  }
  const int begin = v.tile_start[tile], count = v.tile_start[tile + 1] - begin;
  for (int k = count - 1; k >= 0; k--) {
    float* to = in.entries + int64_t(v.entry_slot[begin + k]) * (GEOMETRY + F);
    if (k >= most) std::memset(to, 0, (GEOMETRY + F) * sizeof(float));
    else if (F == BASE) unblend_entry<BASE>(v, t, v.entry_gaussian[begin + k], k, px, py, in.geometry, to);
    else unblend_entry<0>(v, t, v.entry_gaussian[begin + k], k, px, py, in.geometry, to);
  }
}

View chunk_of(View v, int chunk) {
  v.base = chunk == 0;
  v.c0 = int(std::min<int64_t>(int64_t(chunk) * CHUNK, v.C)), v.c1 = int(std::min<int64_t>(v.c0 + CHUNK, v.C));
  return v;
}

int chunks_of(int64_t C) { return std::max(1, int((C + CHUNK - 1) / CHUNK)); }

}  // namespace

extern "C" {

int64_t lf_chunk() { return CHUNK; }

// packed: float [n, 16] out.
void lf_pack(const float* means2d, const float* conics, const float* opacities, const float* colours,
             const float* depths, const int32_t* radii, int64_t n, int64_t threads, float* packed) {
  for_each_in_blocks(threads, n, 1024, [&](int64_t i) {
    Packed g = {};
    g.mx = means2d[2 * i], g.my = means2d[2 * i + 1], g.opacity = opacities[i];
    g.a = conics[3 * i], g.b = conics[3 * i + 1], g.c = conics[3 * i + 2];
    g.reach = g.opacity > 0 ? logf(g.opacity / ALPHA_CUT) + 1e-3f : 0;
    g.half_rows = float(radii[2 * i + 1]) + 0.01f, g.inv_rows2 = 1 / (g.half_rows * g.half_rows);
    std::memcpy(g.feature, colours + 3 * i, 3 * sizeof(float)), g.feature[3] = depths[i];
    std::memcpy(packed + 16 * i, &g, sizeof g);
  });
}

void lf_blend(const float* packed, const float* channels, int64_t C, const int32_t* tile_start,
              const int32_t* entry_gaussian, int64_t width, int64_t height, int64_t smooth, int64_t threads, float* colour,
              float* depth, float* channel_out, float* transmittance, int32_t* last) {
  const int tiles_x = int((width + TILE - 1) / TILE), tiles = tiles_x * int((height + TILE - 1) / TILE);
  const View view = {reinterpret_cast<const Packed*>(packed), channels, C, 0, 0, true, smooth != 0, tile_start,
                     entry_gaussian, nullptr, int(width), int(height), tiles_x};
  const Outputs out = {colour, depth, channel_out, transmittance, last};
  share(threads, tiles, [&](const auto& take) {
    ForwardTile scratch;
    for (int64_t tile = take(); tile >= 0; tile = take())
      for (int chunk = 0; chunk < chunks_of(C); chunk++) blend_tile(chunk_of(view, chunk), int(tile), out, scratch);
  });
}

// entries: float [E, 6 + 4 + min(C, chunk)] scratch; first: int64 [n + 1] as lf_count_tiles gave it.
void lf_blend_backward(const float* packed, const float* channels, int64_t n, int64_t C, const int32_t* tile_start,
                       const int32_t* entry_gaussian, const int32_t* entry_slot, const int64_t* first, int64_t width,
                       int64_t height, int64_t smooth, int64_t geometry, int64_t threads, const float* transmittance,
                       const int32_t* last, const float* v_colour, const float* v_depth, const float* v_channels,
                       const float* v_transmittance, float* entries, float* v_means2d, float* v_conics,
                       float* v_opacities, float* v_colours, float* v_depths, float* v_channel_in) {
  const int tiles_x = int((width + TILE - 1) / TILE), tiles = tiles_x * int((height + TILE - 1) / TILE);
  const View view = {reinterpret_cast<const Packed*>(packed), channels, C, 0, 0, true, smooth != 0, tile_start,
                     entry_gaussian, entry_slot, int(width), int(height), tiles_x};
  const Gradients in = {v_colour, v_depth, v_channels, v_transmittance, transmittance, last, entries, geometry != 0};
  for (int chunk = 0; chunk < chunks_of(C); chunk++) {
    const View v = chunk_of(view, chunk);
    const int F = v.features(), stride = GEOMETRY + F, base = v.base ? BASE : 0;
    share(threads, tiles, [&](const auto& take) {
      BackwardTile scratch;
      for (int64_t tile = take(); tile >= 0; tile = take()) unblend_tile(v, int(tile), in, scratch);
    });
    for_each_in_blocks(threads, n, 1024, [&](int64_t i) {
      float s[GEOMETRY + WIDTH] = {};
      for (int64_t e = first[i]; e < first[i + 1]; e++)
        for (int c = 0; c < stride; c++) s[c] += entries[e * stride + c];
      auto add = [&](float* to, int from, int many) {
        for (int c = 0; c < many; c++) to[c] = (chunk ? to[c] : 0) + s[from + c];
      };
      add(v_means2d + 2 * i, 0, 2), add(v_conics + 3 * i, 2, 3), add(v_opacities + i, 5, 1);
      if (v.base) add(v_colours + 3 * i, GEOMETRY, 3), add(v_depths + i, GEOMETRY + 3, 1);
      for (int c = v.c0; c < v.c1; c++) v_channel_in[i * C + c] = s[GEOMETRY + base + c - v.c0];
    });
  }
}

}  // extern "C"
