// Alpha blending on the CPU. Gaussians of a tile are taken in batches, near to far; then each block of eight pixels
// walks those of the batch that can touch it. First their weights, with the light that still passes in a register,
// then their features, eight sums in registers at a time, so that a sum is loaded and stored once a batch.
//
// Features of a Gaussian are its colour, its depth and any number of channels, CHUNK of them in one walk.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>

#include "cpu_threads.h"
#include "cpu_tile.h"
#include "ellipse.cuh"

using namespace langfield;

namespace {

constexpr int BATCH = 64, WIDTH = padded(true, CHUNK);

struct Outputs {
  float *colour, *depth, *channels, *transmittance;
  int32_t* last;  // 1 + place in the tile's list of the last Gaussian drawn
};

struct Tile {
  F8 T[BLOCKS];  // negative at pixels that are full or outside the picture
  I8 last[BLOCKS];
  F8 sum[BLOCKS * WIDTH];
  Quick quick[BATCH];
  float feature[BATCH * WIDTH];
  uint64_t wanted[BLOCKS];  // Gaussians of the batch that touch a block
  F8 weight[BATCH];         // of one block: those that were drawn, and which they are
  int32_t drawn[BATCH];
};

// Rows of 32 bits to columns (Warren, Hacker's Delight, section 7-3, mirrored): bit p of a[k] becomes bit k of a[p].
void transpose(uint32_t* a) {
  uint32_t mask = 0x0000ffff;
  for (int j = 16; j; j >>= 1, mask ^= mask << j)
    for (int k = 0; k < 32; k = (k + j + 1) & ~j) {
      const uint32_t swap = (a[k] >> j ^ a[k + j]) & mask;
      a[k] ^= swap << j, a[k + j] ^= swap;
    }
}

// Give the number of Gaussians drawn at block p; their weights lie in t.weight.
template <bool SMOOTH>
int weigh(Tile& t, int p, int k0, F8 x, F8 y) {
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

// Load Gaussians k0 to k0 + many of the tile's list; says whether any block is still open.
bool load(const View& v, Tile& t, const int32_t* list, int many, float px, float py) {
  uint32_t rows[BATCH] = {}, open = 0;
  for (int p = 0; p < BLOCKS; p++) open |= uint32_t(signs(t.T[p]) != 0xff) << p;
  if (!open) return false;
  for (int k = 0; k < many; k++) {
    rows[k] = touched(v.packed[list[k]], px, py) & open;
    t.quick[k] = quick_of(v.packed[list[k]], px, py, rows[k]);
    v.gather(list[k], t.feature + k * v.features());
  }
  transpose(rows), transpose(rows + 32);
  for (int p = 0; p < BLOCKS; p++) t.wanted[p] = rows[p] | uint64_t(rows[32 + p]) << 32;
  return true;
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
  std::memset(t.last, 0, sizeof t.last), std::memset(t.sum, 0, BLOCKS * F * sizeof(F8));
  for (int p = 0; p < BLOCKS; p++)
    for (int l = 0; l < LANES; l++)
      t.T[p][l] = px + pixel_x(p, l) < v.width && py + pixel_y(p, l) < v.height ? 1.0f : -1.0f;
  const int32_t* list = v.entry_gaussian + v.tile_start[tile];
  const int count = v.tile_start[tile + 1] - v.tile_start[tile];
  for (int k0 = 0; k0 < count && load(v, t, list + k0, std::min(BATCH, count - k0), px, py); k0 += BATCH)
    for (int p = 0; p < BLOCKS; p++) {
      const int many = t.wanted[p] ? weigh<SMOOTH>(t, p, k0, centre.x[p], centre.y[p]) : 0;
      if (!many) continue;
      int c = 0;
      for (; c + STEP <= F; c += STEP) add_features<STEP>(t.sum + p * F + c, t, t.feature + c, F, many);
      if (c < F) add_features<4>(t.sum + p * F + c, t, t.feature + c, F, many);
    }
  write(v, t, px, py, out);
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
  const int tiles_x = int((width + TILE - 1) / TILE), tiles = tiles_x * int((height + TILE - 1) / TILE);
  const View view = {reinterpret_cast<const Packed*>(packed), channels, C, 0, 0, true, smooth != 0, tile_start,
                     entry_gaussian, nullptr, int(width), int(height), tiles_x};
  const Outputs out = {colour, depth, channel_out, transmittance, last};
  share(threads, tiles, [&](const auto& take) {
    const auto scratch = std::make_unique<Tile>();
    for (int64_t tile = take(); tile >= 0; tile = take())
      for (int chunk = 0; chunk < chunks_of(C); chunk++) {
        const View v = chunk_of(view, chunk);
        smooth ? blend_tile<true>(v, int(tile), out, *scratch) : blend_tile<false>(v, int(tile), out, *scratch);
      }
  });
}

}  // extern "C"
