// Questions to one view beside its picture: which Gaussians make a pixel, and what codes blend to. Each is a
// visitor of the walk in cpu_visit.h. Every sum is taken in an order that the number of threads does not change.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "cpu_threads.h"
#include "cpu_visit.h"

using namespace langfield;

namespace {

constexpr int MOST_PAIRS = 64, MOST_TOP = 32;      // as in contributions.py
constexpr int ATOMS = 1024, STRIDE = BLOCKS + 1;  // atoms a tile's buffer holds; odd, so that rows spread over the cache

// ---- The k largest weights of each pixel.

struct Top {
  int k;
  F8 least[BLOCKS];  // the smallest weight kept
  float weight[PIXELS][MOST_TOP];
  int32_t id[PIXELS][MOST_TOP], now;
  void clear() {
    std::memset(least, 0, sizeof least), std::memset(weight, 0, sizeof weight);
    std::fill(&id[0][0], &id[0][0] + PIXELS * MOST_TOP, -1);
  }
  void enter(int, int32_t i) { now = i; }
  void leave(int) {}
  void at(int p, F8 w, F8) {
    const I8 better = w > least[p];  // strictly: the nearer of equals stays ahead
    for (uint32_t left = lanes(better); left; left &= left - 1) {
      const int l = __builtin_ctz(left), q = p * LANES + l;
      insert(q, w[l]), least[p][l] = weight[q][k - 1];
    }
  }
  void insert(int q, float w) {
    int j = k - 1;
    for (; j > 0 && weight[q][j - 1] < w; j--) weight[q][j] = weight[q][j - 1], id[q][j] = id[q][j - 1];
    weight[q][j] = w, id[q][j] = now;
  }
};

// ---- Sparse codes: only the pairs (atom, weight) of a Gaussian are touched, whatever the number of atoms.

struct Codes {
  const int32_t* index;
  const float* weight;  // null when going backward
  const int32_t* slot;  // backward: place of an entry's gradients
  float* entries;       // backward: [E, K]
  int K, a0, a1;        // atoms of this block
  F8* rows;             // [a1 - a0][STRIDE]
  int many, own[MOST_PAIRS];
  F8* row[MOST_PAIRS];
  float scale[MOST_PAIRS];
  F8 slope[MOST_PAIRS];
  void gather(int32_t i) {
    many = 0;
    for (int j = 0; j < K; j++) {
      const int a = index[int64_t(i) * K + j];
      if (a < a0 || a >= a1) continue;
      row[many] = rows + int64_t(a - a0) * STRIDE, own[many] = j;
      scale[many++] = weight ? weight[int64_t(i) * K + j] : 0;
    }
  }
};

struct CodesForward : Codes {
  void enter(int, int32_t i) { gather(i); }
  void leave(int) {}
  void at(int p, F8 w, F8) {
    for (int j = 0; j < many; j++) row[j][p] += w * all(scale[j]);
  }
};

struct CodesBackward : Codes {
  void enter(int, int32_t i) {
    gather(i);
    for (int j = 0; j < many; j++) slope[j] = F8{};
  }
  void at(int p, F8 w, F8) {
    for (int j = 0; j < many; j++) slope[j] += w * row[j][p];
  }
  void leave(int e) {
    for (int j = 0; j < many; j++) entries[int64_t(slot[e]) * K + own[j]] = sum(slope[j]);
  }
};

// Call copy(buffer, picture) for each number of a tile's buffer and its place in the picture [H, W, A], null outside.
template <typename Picture, typename Copy>
void each_atom(const Walk& w, int tile, F8* rows, Picture* picture, int64_t A, int a0, int a1, const Copy& copy) {
  for (int v = 0; v < BLOCKS; v++)
    for (int l = 0; l < LANES; l++) {
      const int64_t at = place(w, tile, v * LANES + l);
      float* buffer = reinterpret_cast<float*>(rows + v) + l;
      Picture* pixel = at < 0 ? nullptr : picture + at * A + a0;
      for (int a = 0; a < a1 - a0; a++) copy(buffer[int64_t(a) * STRIDE * LANES], pixel ? pixel + a : nullptr);
    }
}

}  // namespace

extern "C" {

// ids: int32 [H, W, k], -1 where there are fewer; weights [H, W, k], falling.
void lf_top(const float* packed, const int32_t* tile_start, const int32_t* entry_gaussian, int64_t width,
            int64_t height, int64_t smooth, int64_t k, int64_t threads, int32_t* ids, float* weights) {
  const Walk w = walk_of(packed, tile_start, entry_gaussian, width, height, smooth);
  share(threads, w.tiles, [&](const auto& take) {
    const std::unique_ptr<Top> top(new Top);
    top->k = int(k);
    for (int64_t tile = take(); tile >= 0; tile = take()) {
      top->clear();
      walk_tile(w, int(tile), *top);
      for (int p = 0; p < PIXELS; p++) {
        const int64_t at = place(w, int(tile), p);
        if (at < 0) continue;
        std::copy(top->id[p], top->id[p] + k, ids + at * k);
        std::copy(top->weight[p], top->weight[p] + k, weights + at * k);
      }
    }
  });
}

// index: int32 [n, K] in 0 .. A - 1; weight: [n, K]; out: [H, W, A].
void lf_splat_codes(const float* packed, const int32_t* index, const float* weight, int64_t K, int64_t A,
                    const int32_t* tile_start, const int32_t* entry_gaussian, int64_t width, int64_t height,
                    int64_t smooth, int64_t threads, float* out) {
  const Walk w = walk_of(packed, tile_start, entry_gaussian, width, height, smooth);
  share(threads, w.tiles, [&](const auto& take) {
    const int64_t most = std::min<int64_t>(A, ATOMS);
    const std::unique_ptr<F8[]> rows(new F8[most * STRIDE]);
    const std::unique_ptr<CodesForward> codes(new CodesForward{});
    codes->index = index, codes->weight = weight, codes->K = int(K), codes->rows = rows.get();
    for (int64_t tile = take(); tile >= 0; tile = take())
      for (int64_t a0 = 0; a0 < A; a0 += ATOMS) {
        codes->a0 = int(a0), codes->a1 = int(std::min<int64_t>(A, a0 + ATOMS));
        std::fill(rows.get(), rows.get() + (codes->a1 - a0) * STRIDE, F8{});
        walk_tile(w, int(tile), *codes);
        each_atom(w, int(tile), rows.get(), out, A, codes->a0, codes->a1, [](float& b, float* p) {
          if (p) *p = b;
        });
      }
  });
}

// entries: zeros [E, K], scratch; v_weight: [n, K].
void lf_splat_codes_backward(const float* packed, const int32_t* index, int64_t n, int64_t K, int64_t A,
                             const int32_t* tile_start, const int32_t* entry_gaussian, const int32_t* entry_slot,
                             const int64_t* first, int64_t width, int64_t height, int64_t smooth, int64_t threads,
                             const float* v_out, float* entries, float* v_weight) {
  const Walk w = walk_of(packed, tile_start, entry_gaussian, width, height, smooth);
  share(threads, w.tiles, [&](const auto& take) {
    const int64_t most = std::min<int64_t>(A, ATOMS);
    const std::unique_ptr<F8[]> rows(new F8[most * STRIDE]);
    const std::unique_ptr<CodesBackward> codes(new CodesBackward{});
    codes->index = index, codes->K = int(K), codes->rows = rows.get();
    codes->slot = entry_slot, codes->entries = entries;
    for (int64_t tile = take(); tile >= 0; tile = take())
      for (int64_t a0 = 0; a0 < A; a0 += ATOMS) {
        codes->a0 = int(a0), codes->a1 = int(std::min<int64_t>(A, a0 + ATOMS));
        each_atom(w, int(tile), rows.get(), v_out, A, codes->a0, codes->a1, [](float& b, const float* p) {
          b = p ? *p : 0;
        });
        walk_tile(w, int(tile), *codes);
      }
  });
  for_each_in_blocks(threads, n, 1024, [&](int64_t i) {
    for (int64_t j = 0; j < K; j++) {
      float total = 0;
      for (int64_t e = first[i]; e < first[i + 1]; e++) total += entries[e * K + j];
      v_weight[i * K + j] = total;
    }
  });
}

}  // extern "C"
