// The gradients of alpha blending on the CPU: each tile's list walked far to near. For a few Gaussians at a time:
//   1. s = V f, what a unit of weight of each Gaussian is worth at each pixel (V: the loss by the pixel's features);
//   2. alpha, weight and the geometry's gradients, with the light undone one Gaussian after the other;
//   3. v_f = w V summed over pixels, the gradient by the Gaussian's features.
// The first and the last are small matrix products; they work on eight features at once, held in registers, so that
// each multiplication costs one load. The sums of an entry (a Gaussian in a tile) are written once, and added up
// Gaussian by Gaussian in a second pass: no locks, and the same bits whatever the threads.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "cpu_threads.h"
#include "cpu_tile.h"

using namespace langfield;

namespace {

constexpr int FEW = 8, WIDTH = padded(true, CHUNK), STEPS = (WIDTH + STEP - 1) / STEP;

struct Gradients {
  const float *v_colour, *v_depth, *v_channels, *v_transmittance, *transmittance;
  const int32_t* last;
  float* entries;  // [E, GEOMETRY + features]
  bool geometry;
};

struct Entry {
  Quick quick;
  int k, first;  // place in the tile's list; where its blocks start in worth and weight
  float feature[WIDTH + STEP];
};

struct Tile {
  F8 T[BLOCKS], behind[BLOCKS];  // behind: what all that lies behind adds to the loss
  I8 last[BLOCKS], most[BLOCKS / LANES];
  F8 v[STEPS][BLOCKS][STEP];
  Entry few[FEW];
  F8 worth[FEW * BLOCKS], weight[FEW * BLOCKS];  // of the blocks touched, one after the other
};

// Blocks where the k-th Gaussian can still matter, because something was drawn at it or behind.
uint32_t open_blocks(const Tile& t, int k) {
  uint32_t bits = 0;
  for (int i = 0; i < BLOCKS / LANES; i++) bits |= lanes(I8{} + k < t.most[i]) << (i * LANES);
  return bits;
}

template <int N>
void add_worth(const Entry& e, const F8 (*v)[STEP], const float* f, F8* worth) {
  F8 wide[N];
  for (int c = 0; c < N; c++) wide[c] = all(f[c]);
  for (uint32_t left = e.quick.blocks; left; left &= left - 1, worth++) {
    const F8* u = v[__builtin_ctz(left)];
    F8 even = *worth + u[0] * wide[0], odd = u[1] * wide[1];
    for (int c = 2; c < N; c += 2) even += u[c] * wide[c], odd += u[c + 1] * wide[c + 1];
    *worth = even + odd;
  }
}

template <int N>
void add_weighted(const Entry& e, const F8 (*v)[STEP], const F8* weight, float* to) {
  F8 s[STEP] = {};
  for (uint32_t left = e.quick.blocks; left; left &= left - 1, weight++) {
    const F8* u = v[__builtin_ctz(left)];
    for (int c = 0; c < N; c++) s[c] += *weight * u[c];
  }
  const F8 total = sums(s);
  std::memcpy(to, &total, N * sizeof(float));
}

// Undo one Gaussian at every block it touches, leaving its weights; GEOMETRY sums go to `to`.
template <bool SMOOTH, bool MOVES>
void undo(Tile& t, const Entry& e, const Packed& g, float* to) {
  static const Centres centre;
  F8 *weight = t.weight + e.first, *worth = t.worth + e.first, m[GEOMETRY] = {};
  const I8 k = I8{} + e.k;
  for (uint32_t left = e.quick.blocks; left; left &= left - 1, weight++, worth++) {
    const int p = __builtin_ctz(left);
    const Coverage o = coverage_of<SMOOTH>(e.quick, centre.x[p], centre.y[p]);
    const I8 drawn = o.on & (k < t.last[p]);
    const F8 inv = all(1) / (all(1) - o.alpha), T = pick(drawn, t.T[p] * inv, t.T[p]);
    *weight = keep(drawn, o.alpha * T);
    t.T[p] = T;
    if (!MOVES) continue;
    F8 v_raw = T * *worth - t.behind[p] * inv;
    t.behind[p] += *weight * *worth;
    if (SMOOTH) {  // d alpha / d raw where the cap does not hold
      const F8 u0 = o.raw / all(ALPHA_CUT) - all(1), u = pick(u0 < all(1), u0, all(1));
      v_raw *= u * u * (all(3) - all(2) * u) + o.raw * keep(u0 < all(1), all(6 / ALPHA_CUT) * u * (all(1) - u));
    }
    const F8 v = keep(drawn & (o.raw <= all(ALPHA_MAX)), o.raw * v_raw), vx = v * o.dx, vy = v * o.dy;
    m[0] += v * o.gx, m[1] += v * o.gy, m[2] += vx * o.dx, m[3] += vx * o.dy, m[4] += vy * o.dy, m[5] += v;
  }
  const F8 total = MOVES ? sums(m) : F8{};
  const float slope = 2 / LOG2_E, inv = MOVES ? 1 / g.opacity : 0;
  const F8 scale = {slope, slope, -0.5f, -1, -0.5f, inv, 0, 0}, scaled = total * scale;
  std::memcpy(to, &scaled, sizeof scaled);
}

template <int N>
void each_entry_worth(Tile& t, const Entry* entries, int many, int step) {
  for (int i = 0; i < many; i++)
    add_worth<N>(entries[i], t.v[step], entries[i].feature + step * STEP, t.worth + entries[i].first);
}

template <bool SMOOTH>
void undo_few(const View& v, Tile& t, const Entry* entries, int many, const int32_t* list, const int32_t* slots,
              const Gradients& in) {
  const int F = v.features(), stride = GEOMETRY + F;
  const auto row = [&](int i) { return in.entries + int64_t(slots[entries[i].k]) * stride; };
  if (in.geometry)
    for (int c = 0; c < F; c += STEP)
      c + STEP <= F ? each_entry_worth<STEP>(t, entries, many, c / STEP) : each_entry_worth<4>(t, entries, many, c / STEP);
  for (int i = 0; i < many; i++) {
    const Packed& g = v.packed[list[entries[i].k]];
    in.geometry ? undo<SMOOTH, true>(t, entries[i], g, row(i)) : undo<SMOOTH, false>(t, entries[i], g, row(i));
  }
  for (int c = 0; c < F; c += STEP)
    for (int i = 0; i < many; i++) {
      const F8* weight = t.weight + entries[i].first;
      if (c + STEP <= F) add_weighted<STEP>(entries[i], t.v[c / STEP], weight, row(i) + GEOMETRY + c);
      else add_weighted<4>(entries[i], t.v[c / STEP], weight, row(i) + GEOMETRY + c);
    }
}

void read_features(const View& v, Tile& t, int p, const Spot& spot, const Gradients& in) {
  const auto at = [&](int c) { return reinterpret_cast<float*>(&t.v[c / STEP][p][c % STEP]); };
  int c = 0, many = v.c1 - v.c0;
  for (; spot.whole && c + STEP <= many; c += STEP) {
    F8* pixel = t.v[c / STEP][p];
    for (int l = 0; l < LANES; l++) std::memcpy(pixel + l, in.v_channels + spot.at[l] * v.C + v.c0 + c, sizeof(F8));
    turn(pixel);
  }
  for (; c < v.base_at(); c++)
    for (int l = 0; l < LANES; l++)
      at(c)[l] = spot.at[l] >= 0 && c < many ? in.v_channels[spot.at[l] * v.C + v.c0 + c] : 0;
  if (!v.base) return;
  for (int l = 0; l < LANES; l++)
    for (int k = 0; k < BASE; k++)
      at(c + k)[l] = spot.at[l] < 0 ? 0 : k < 3 ? in.v_colour[3 * spot.at[l] + k] : in.v_depth[spot.at[l]];
}

// Read the tile's pixels; gives 1 + the last place in its list that was drawn anywhere.
int read(const View& v, Tile& t, int px, int py, const Gradients& in) {
  int most = 0;
  for (int p = 0; p < BLOCKS; p++) {
    const Spot spot = spot_of(v, px, py, p);
    read_features(v, t, p, spot, in);
    int32_t here = 0;
    for (int l = 0; l < LANES; l++) {
      const int64_t at = spot.at[l];
      t.T[p][l] = at >= 0 ? in.transmittance[at] : 1, t.last[p][l] = at >= 0 ? in.last[at] : 0;
      t.behind[p][l] = at >= 0 && v.base ? in.v_transmittance[at] * in.transmittance[at] : 0;
      here = std::max(here, t.last[p][l]);
    }
    t.most[p / LANES][p % LANES] = here, most = std::max(most, here);
  }
  return most;
}

template <bool SMOOTH>
void undo_tile(const View& v, int tile, const Gradients& in, Tile& t) {
  const int px = tile % v.tiles_x * TILE, py = tile / v.tiles_x * TILE, stride = GEOMETRY + v.features();
  const int begin = v.tile_start[tile], count = v.tile_start[tile + 1] - begin, most = read(v, t, px, py, in);
  const int32_t *list = v.entry_gaussian + begin, *slots = v.entry_slot + begin;
  int many = 0, blocks = 0;
  for (int k = count - 1; k >= 0; k--) {
    const uint32_t bits = k < most ? touched(v.packed[list[k]], px, py) & open_blocks(t, k) : 0;
    if (bits) {
      Entry& e = t.few[many++];
      e.quick = quick_of(v.packed[list[k]], px, py, bits), e.k = k, e.first = blocks;
      if (in.geometry) v.gather(list[k], e.feature);
      std::memset(t.worth + blocks, 0, __builtin_popcount(bits) * sizeof(F8)), blocks += __builtin_popcount(bits);
    } else {
      std::memset(in.entries + int64_t(slots[k]) * stride, 0, stride * sizeof(float));
    }
    if (many == FEW || k == 0) undo_few<SMOOTH>(v, t, t.few, many, list, slots, in), many = blocks = 0;
  }
}

}  // namespace

extern "C" {

int64_t lf_chunk() { return CHUNK; }

// entries: float [E, 8 + 4 + min(C, chunk), rounded up to a multiple of 4] scratch; first: int64 [n + 1] as lf_count_tiles gave it.
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
    const int stride = GEOMETRY + v.features(), base = GEOMETRY + v.base_at();
    share(threads, tiles, [&](const auto& take) {
      const auto scratch = std::make_unique<Tile>();
      for (int64_t tile = take(); tile >= 0; tile = take())
        smooth ? undo_tile<true>(v, int(tile), in, *scratch) : undo_tile<false>(v, int(tile), in, *scratch);
    });
    for_each_in_blocks(threads, n, 1024, [&](int64_t i) {
      float s[GEOMETRY + WIDTH] = {};
      for (int64_t e = first[i]; e < first[i + 1]; e++)
        for (int c = 0; c < stride; c++) s[c] += entries[e * stride + c];
      auto add = [&](float* to, int from, int many) {
        for (int c = 0; c < many; c++) to[c] = (chunk ? to[c] : 0) + s[from + c];
      };
      add(v_means2d + 2 * i, 0, 2), add(v_conics + 3 * i, 2, 3), add(v_opacities + i, 5, 1);
      if (v.base) add(v_colours + 3 * i, base, 3), add(v_depths + i, base + 3, 1);
      for (int c = v.c0; c < v.c1; c++) v_channel_in[i * C + c] = s[GEOMETRY + c - v.c0];
    });
  }
}

}  // extern "C"
