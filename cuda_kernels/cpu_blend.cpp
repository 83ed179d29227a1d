// Alpha blending on the CPU. Gaussians of a tile are taken in batches, near to far (cpu_batch.h); then each block of
// eight pixels walks those of the batch that can touch it: first their weights, then their features, eight sums in
// registers at a time, so that a sum is loaded and stored once a batch.
//
// Features of a Gaussian are its colour, its depth and any number of channels, CHUNK of them in one walk.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>

#include "cpu_batch.h"
#include "cpu_threads.h"
#include "ellipse.cuh"

using namespace langfield;

namespace {

constexpr int WIDTH = padded(true, CHUNK);

struct Outputs {
  float *colour, *depth, *channels, *transmittance;
  int32_t* last;  // 1 + place in the tile's list of the last Gaussian drawn
};

struct Tile : Light {
  F8 sum[BLOCKS * WIDTH];
  float feature[BATCH * WIDTH];
};

template <int N>
void add_features(F8* sum, const Tile& t, const float* feature, int F, int many) {
  F8 s[N];
  for (int c = 0; c < N; c++) s[c] = sum[c];
  for (int i = 0; i < many; i++) {
    const float* f = feature + t.drawn[i] * F;
    for (int c = 0; c < N; c++) s[c] += t.weight[i] * all(f[c]);
  }
  for (int c = 0; c < N; c++) sum[c] = s[c];
}

void write(const View& v, const Tile& t, int px, int py, const Outputs& out) {
  for (int p = 0; p < BLOCKS; p++) {
    const Spot spot = spot_of(v, px, py, p);
    const F8* sum = t.sum + p * v.features();
    int c = 0, many = v.c1 - v.c0;
    for (; spot.whole && c + STEP <= many; c += STEP) {
      F8 pixel[LANES];
      std::memcpy(pixel, sum + c, sizeof pixel), turn(pixel);
      for (int l = 0; l < LANES; l++) std::memcpy(out.channels + spot.at[l] * v.C + v.c0 + c, pixel + l, sizeof(F8));
    }
    const float* s = reinterpret_cast<const float*>(sum);
    for (int l = 0; l < LANES; l++) {
      const int64_t at = spot.at[l];
      if (at < 0) continue;
      for (int rest = c; rest < many; rest++) out.channels[at * v.C + v.c0 + rest] = s[rest * LANES + l];
      if (!v.base) continue;
      const float* base = s + v.base_at() * LANES + l;
      for (int k = 0; k < 3; k++) out.colour[3 * at + k] = base[k * LANES];
      out.depth[at] = base[3 * LANES], out.transmittance[at] = std::abs(t.T[p][l]), out.last[at] = t.last[p][l];
    }
  }
}

template <bool SMOOTH>
void blend_tile(const View& v, int tile, const Outputs& out, Tile& t) {
  static const Centres centre;
  const int px = tile % v.tiles_x * TILE, py = tile / v.tiles_x * TILE, F = v.features();
  begin(t, px, py, v.width, v.height), std::memset(t.sum, 0, BLOCKS * F * sizeof(F8));
  const int32_t* list = v.entry_gaussian + v.tile_start[tile];
  const int count = v.tile_start[tile + 1] - v.tile_start[tile];
  for (int k0 = 0; k0 < count; k0 += BATCH) {
    const int batch = std::min(BATCH, count - k0);
    if (!load(v.packed, t, list + k0, batch, px, py)) break;
    for (int k = 0; k < batch; k++)
      if (t.quick[k].blocks) v.gather(list[k0 + k], t.feature + k * F);
    for (int p = 0; p < BLOCKS; p++) {
      const int many = t.wanted[p] ? weigh<SMOOTH>(t, p, k0, centre.x[p], centre.y[p]) : 0;
      if (!many) continue;
      int c = 0;
      for (; c + STEP <= F; c += STEP) add_features<STEP>(t.sum + p * F + c, t, t.feature + c, F, many);
      if (c < F) add_features<4>(t.sum + p * F + c, t, t.feature + c, F, many);
    }
  }
  write(v, t, px, py, out);
}

void blend(const View& view, int64_t threads, const Outputs& out) {
  const int tiles = view.tiles_x * ((view.height + TILE - 1) / TILE);
  share(threads, tiles, [&](const auto& take) {
    const auto scratch = std::make_unique<Tile>();
    for (int64_t tile = take(); tile >= 0; tile = take())
      for (int chunk = 0; chunk < chunks_of(view.C); chunk++) {
        const View v = chunk_of(view, chunk);
        v.smooth ? blend_tile<true>(v, int(tile), out, *scratch) : blend_tile<false>(v, int(tile), out, *scratch);
      }
  });
}

}  // namespace

extern "C" {

// packed: float [n, 16] out.
void lf_pack(const float* means2d, const float* conics, const float* opacities, const float* colours,
             const float* depths, const int32_t* radii, int64_t n, int64_t threads, float* packed) {
  for_each_in_blocks(threads, n, 1024, [&](int64_t i) {
    Packed g = {};
    g.mx = means2d[2 * i], g.my = means2d[2 * i + 1], g.opacity = opacities[i];
    g.a = conics[3 * i], g.b = conics[3 * i + 1], g.c = conics[3 * i + 2];
    g.reach = reach_of(g.opacity), g.half_rows = half_rows_of(conics + 3 * i, g.reach, radii[2 * i + 1]);
    g.inv_rows2 = 1 / (g.half_rows * g.half_rows);
    std::memcpy(g.feature, colours + 3 * i, 3 * sizeof(float)), g.feature[3] = depths[i];
    g.slope = g.b / g.a, g.wide2 = 2 * g.reach / g.a, g.lift = log2f(g.opacity);
    std::memcpy(packed + 16 * i, &g, sizeof g);
  });
}

void lf_blend(const float* packed, const float* channels, int64_t C, const int32_t* tile_start,
              const int32_t* entry_gaussian, int64_t width, int64_t height, int64_t smooth, int64_t threads, float* colour,
              float* depth, float* channel_out, float* transmittance, int32_t* last) {
  const View view = {reinterpret_cast<const Packed*>(packed), channels, C, 0, 0, true, smooth != 0, tile_start,
                     entry_gaussian, nullptr, int(width), int(height), int((width + TILE - 1) / TILE)};
  blend(view, threads, {colour, depth, channel_out, transmittance, last});
}

// Channels alone. channels: [n, C]; out: [H, W, C].
void lf_splat_channels(const float* packed, const float* channels, int64_t C, const int32_t* tile_start,
                       const int32_t* entry_gaussian, int64_t width, int64_t height, int64_t smooth, int64_t threads,
                       float* out) {
  const View view = {reinterpret_cast<const Packed*>(packed), channels, C, 0, 0, false, smooth != 0, tile_start,
                     entry_gaussian, nullptr, int(width), int(height), int((width + TILE - 1) / TILE)};
  blend(view, threads, {nullptr, nullptr, out, nullptr, nullptr});
}

}  // extern "C"
