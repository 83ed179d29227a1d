// The blend weights of one view, kept: a question to a still camera is then a sum over lists, and nothing is projected,
// sorted or weighed again. Lists belong to blocks of eight pixels (cpu_tile.h); a weight is a whole number of 65,535ths.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "cpu_batch.h"
#include "cpu_sigmoid.h"
#include "cpu_threads.h"

using namespace langfield;

namespace {

constexpr float WHOLE = 65535;

typedef uint16_t U16x8 __attribute__((vector_size(16)));

U16x8 sixteen(F8 weight) {
  return __builtin_convertvector(__builtin_convertvector(weight * all(WHOLE) + all(0.5f), I8), U16x8);
}
F8 weight_of(const uint16_t* w) {
  U16x8 v;
  std::memcpy(&v, w, sizeof v);
  return __builtin_convertvector(__builtin_convertvector(v, I8), F8);
}

// Ask for large pages: the first touch of a small one costs about as much as writing it.
void in_large_pages(void* memory, int64_t bytes) {
#ifdef __linux__
  constexpr uintptr_t PAGE = 4096;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(memory) + PAGE - 1) / PAGE * PAGE;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + uintptr_t(bytes)) / PAGE * PAGE;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);  // where refused, nothing is lost
#endif
}

struct Lists {  // of one tile: room for all of its Gaussians in every block
  int64_t room = 0, many = 0;
  int count[BLOCKS];
  std::vector<int32_t> gaussian;
  std::vector<U16x8> weight;
  void begin(int64_t entries) {
    std::fill(count, count + BLOCKS, 0), many = 0;
    room = entries;
    if (int64_t(gaussian.size()) < BLOCKS * room) gaussian.resize(BLOCKS * room), weight.resize(BLOCKS * room);
  }
  void add(int p, const Light& t, const int32_t* list, int more) {
    const int64_t at = p * room + count[p];
    for (int i = 0; i < more; i++) gaussian[at + i] = list[t.drawn[i]], weight[at + i] = sixteen(t.weight[i]);
    count[p] += more, many += more;
  }
};

template <bool SMOOTH>
void weigh_tile(const View& v, int tile, Light& t, Lists& lists) {
  static const Centres centre;
  const int px = tile % v.tiles_x * TILE, py = tile / v.tiles_x * TILE;
  const int32_t* list = v.entry_gaussian + v.tile_start[tile];
  const int count = v.tile_start[tile + 1] - v.tile_start[tile];
  begin(t, px, py, v.width, v.height), lists.begin(count);
  for (int k0 = 0; k0 < count && load(v.packed, t, list + k0, std::min(BATCH, count - k0), px, py); k0 += BATCH)
    for (int p = 0; p < BLOCKS; p++)
      if (t.wanted[p]) lists.add(p, t, list + k0, weigh<SMOOTH>(t, p, k0, centre.x[p], centre.y[p]));
}

struct Kept {
  const int64_t* start;   // [tiles * BLOCKS]
  const int32_t *count, *gaussian;
  const uint16_t* weight;  // [E, 8]
  int width, height, tiles_x, tiles;
};

// Channels c0 to c0 + N of one block.
template <int N>
void blend_block(const Kept& k, int64_t block, const float* channels, int64_t C, int64_t c0, F8* sum) {
  F8 s[N] = {};
  const int64_t start = k.start[block];
  for (int64_t e = start; e < start + k.count[block]; e++) {
    const F8 w = weight_of(k.weight + 8 * e);
    const float* f = channels + k.gaussian[e] * C + c0;
    for (int c = 0; c < N; c++) s[c] += w * all(f[c]);
  }
  for (int c = 0; c < N; c++) sum[c0 + c] = s[c] * all(1 / WHOLE);
}

typedef void (*BlendBlock)(const Kept&, int64_t, const float*, int64_t, int64_t, F8*);
constexpr BlendBlock BLEND[STEP + 1] = {nullptr,        blend_block<1>, blend_block<2>, blend_block<3>, blend_block<4>,
                                        blend_block<5>, blend_block<6>, blend_block<7>, blend_block<8>};

// A block in a plane of the picture.
struct Window {
  int64_t at, row;    // its first pixel; pixels of a row of the picture
  int columns, rows;  // of the block that lie in the picture
  bool whole() const { return columns == 4 && rows == 2; }
  F8 read(const float* plane) const {
    F8 v = {};
    if (whole()) {
      std::memcpy(&v, plane + at, 16), std::memcpy(reinterpret_cast<float*>(&v) + 4, plane + at + row, 16);
      return v;
    }
    for (int y = 0; y < rows; y++)
      for (int x = 0; x < columns; x++) v[4 * y + x] = plane[at + y * row + x];
    return v;
  }
  void write(float* plane, F8 v) const {
    if (whole()) {
      std::memcpy(plane + at, &v, 16), std::memcpy(plane + at + row, reinterpret_cast<float*>(&v) + 4, 16);
      return;
    }
    for (int y = 0; y < rows; y++)
      for (int x = 0; x < columns; x++) plane[at + y * row + x] = v[4 * y + x];
  }
};

Window window_of(const Kept& k, int tile, int p) {
  const Place o = place_of(p);
  const int x = tile % k.tiles_x * TILE + o.x, y = tile / k.tiles_x * TILE + o.y;
  return {int64_t(y) * k.width + x, k.width, std::clamp(k.width - x, 0, 4), std::clamp(k.height - y, 0, 2)};
}

// Blend channels [n, C] and call finish(window, sums) for each block of the picture.
template <typename Finish>
void blend_kept(const Kept& k, int64_t threads, const float* channels, int64_t C, const Finish& finish) {
  share(threads, k.tiles, [&](const auto& take) {
    std::vector<F8> sums(C);
    for (int64_t tile = take(); tile >= 0; tile = take())
      for (int p = 0; p < BLOCKS; p++) {
        const Window at = window_of(k, int(tile), p);
        if (!at.columns || !at.rows) continue;
        for (int64_t c = 0; c < C; c += STEP)
          BLEND[std::min<int64_t>(STEP, C - c)](k, tile * BLOCKS + p, channels, C, c, sums.data());
        finish(at, sums.data());
      }
  });
}

Kept kept_of(const int64_t* start, const int32_t* count, const int32_t* gaussian, const uint16_t* weight, int64_t width,
             int64_t height) {
  const int tiles_x = int((width + TILE - 1) / TILE), tiles = tiles_x * int((height + TILE - 1) / TILE);
  return {start, count, gaussian, weight, int(width), int(height), tiles_x, tiles};
}

}  // namespace

extern "C" {

// start: int64, count: int32 [tiles, 32], the list of each block of pixels; gaussian: int32 [capacity] and weight:
// uint16 [capacity, 8], near to far. Gives how many entries there are; where that is more than `capacity` lists are
// missing. Space is taken in any order; what lists hold does not depend on the number of threads.
int64_t lf_keep_weights(const float* packed, const int32_t* tile_start, const int32_t* entry_gaussian, int64_t width,
                        int64_t height, int64_t smooth, int64_t threads, int64_t capacity, int64_t* start, int32_t* count,
                        int32_t* gaussian, uint16_t* weight) {
  const int tiles_x = int((width + TILE - 1) / TILE), tiles = tiles_x * int((height + TILE - 1) / TILE);
  const View v = {reinterpret_cast<const Packed*>(packed), nullptr, 0, 0, 0, false, smooth != 0, tile_start,
                  entry_gaussian, nullptr, int(width), int(height), tiles_x};
  in_large_pages(gaussian, 4 * capacity), in_large_pages(weight, 16 * capacity);
  std::atomic<int64_t> cursor{0};
  share(threads, tiles, [&](const auto& take) {
    const auto light = std::make_unique<Light>();
    const auto lists = std::make_unique<Lists>();
    for (int64_t tile = take(); tile >= 0; tile = take()) {
      v.smooth ? weigh_tile<true>(v, int(tile), *light, *lists) : weigh_tile<false>(v, int(tile), *light, *lists);
      int64_t at = cursor.fetch_add(lists->many, std::memory_order_relaxed);
      if (at + lists->many > capacity) continue;
      for (int p = 0; p < BLOCKS; p++) {
        const int many = lists->count[p];
        start[tile * BLOCKS + p] = at, count[tile * BLOCKS + p] = many;
        if (!many) continue;
        std::memcpy(gaussian + at, &lists->gaussian[p * lists->room], many * sizeof(int32_t));
        std::memcpy(weight + 8 * at, &lists->weight[p * lists->room], many * sizeof(U16x8));
        at += many;
      }
    }
  });
  return cursor;
}

// channels: [n, C]; out: [C, H, W].
void lf_blend_kept(const int64_t* start, const int32_t* count, const int32_t* gaussian, const uint16_t* weight,
                   int64_t width, int64_t height, int64_t threads, const float* channels, int64_t C, float* out) {
  const Kept k = kept_of(start, count, gaussian, weight, width, height);
  blend_kept(k, threads, channels, C, [&](const Window& at, const F8* sum) {
    for (int64_t c = 0; c < C; c++) at.write(out + c * width * height, sum[c]);
  });
}

// channels: [n, Q, L]; nearest, gain: [L, H, W]; out: [Q, L, H, W], sigmoid(gain (sum - nearest)).
void lf_blend_relevancy(const int64_t* start, const int32_t* count, const int32_t* gaussian, const uint16_t* weight,
                        int64_t width, int64_t height, int64_t threads, const float* channels, int64_t Q, int64_t L,
                        const float* nearest, const float* gain, float* out) {
  const Kept k = kept_of(start, count, gaussian, weight, width, height);
  const int64_t plane = width * height;
  blend_kept(k, threads, channels, Q * L, [&](const Window& at, const F8* sum) {
    for (int64_t l = 0; l < L; l++) {
      const F8 least = at.read(nearest + l * plane), steep = at.read(gain + l * plane);
      for (int64_t c = l; c < Q * L; c += L) at.write(out + c * plane, sigmoid((sum[c] - least) * steep));
    }
  });
}

// channels: [n, K + 1, L], the last of the K + 1 how much of a Gaussian counts; limits: how much of a pixel must, and
// the temperature. nearest: [L, H, W], the largest of the K sums; gain: temperature by the last sum, or 0.
void lf_blend_against(const int64_t* start, const int32_t* count, const int32_t* gaussian, const uint16_t* weight,
                      int64_t width, int64_t height, int64_t threads, const float* channels, int64_t K, int64_t L,
                      const float* limits, float* nearest, float* gain) {
  const Kept k = kept_of(start, count, gaussian, weight, width, height);
  const int64_t plane = width * height;
  blend_kept(k, threads, channels, (K + 1) * L, [&](const Window& at, const F8* sum) {
    for (int64_t l = 0; l < L; l++) {
      F8 most = sum[l];
      for (int64_t c = L + l; c < K * L; c += L) most = pick(sum[c] > most, sum[c], most);
      const F8 covered = sum[K * L + l];
      at.write(nearest + l * plane, most);
      at.write(gain + l * plane, keep(covered > all(limits[0]), all(limits[1]) / covered));
    }
  });
}

}  // extern "C"
