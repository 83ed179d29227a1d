// Segments of one view: each (Gaussian, segment) that meets, with the sum of its blend weights, in one walk whatever
// the number of segments. Records are written tile by tile into memory of the caller, then gathered by Gaussian in an
// order that the number of threads does not change.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu_threads.h"
#include "cpu_visit.h"

using namespace langfield;

namespace {

struct Record {
  int32_t level, segment;
  float gated, all;
};

struct Part {  // the lanes of one vector of pixels that lie in one segment
  I8 lanes;
  int local;
};

struct Local {
  int32_t level, segment;
};

constexpr int MOST_LEVELS = 64;  // as in contributions.py

struct Scatter {
  const Walk& w;
  const int32_t *segments, *slot;
  int levels;
  float open, floor;
  int64_t capacity;
  std::atomic<int64_t>& cursor;
  Record* records;
  int64_t* slot_start;
  int32_t* slot_count;
  float* slot_total;

  std::vector<Part> parts = {};
  int first[BLOCKS + 1] = {};
  std::vector<Local> locals = {}, whole = {};
  std::vector<char> met = {};
  std::vector<int> list = {};  // locals the present Gaussian met
  std::unique_ptr<F8[]> sums = {};
  F8 total = {}, seen = {};  // seen: what passes the gate
  std::vector<Record> found = {};  // of the tile
  std::vector<int> entries = {};

  // Segments of the tile get small numbers. Levels that see one segment in all of it need no numbers: most do.
  void prepare(int tile) {
    parts.clear(), locals.clear(), whole.clear(), found.clear(), entries.clear();
    int64_t at[PIXELS];
    for (int p = 0; p < PIXELS; p++) at[p] = place(w, tile, p);
    int32_t ids[MOST_LEVELS][PIXELS];
    bool split[MOST_LEVELS];
    for (int level = 0; level < levels; level++) split[level] = read(level, at, ids[level]);
    for (int v = 0; v < BLOCKS; v++) {
      first[v] = int(parts.size());
      for (int level = 0; level < levels; level++)
        for (int l = 0; split[level] && l < LANES; l++) {
          const int32_t id = ids[level][v * LANES + l];
          if (id >= 0) part_of(first[v], local_of(level, id)).lanes[l] = -1;
        }
    }
    first[BLOCKS] = int(parts.size());
    met.assign(locals.size(), 0);
    std::fill(sums.get(), sums.get() + 2 * locals.size(), F8{});
  }
  bool read(int level, const int64_t* at, int32_t* ids) {  // says whether the level sees several segments
    const int32_t* plane = segments + int64_t(level) * w.width * w.height;
    bool several = false;
    for (int p = 0; p < PIXELS; p++) {
      ids[p] = at[p] < 0 ? -1 : plane[at[p]];
      several |= at[p] >= 0 && ids[p] != ids[0];  // pixel 0 is always in the picture
    }
    if (!several && ids[0] >= 0) whole.push_back({level, ids[0]});
    return several;
  }
  int local_of(int32_t level, int32_t id) {
    for (int k = int(locals.size()) - 1; k >= 0; k--)  // mostly the one before
      if (locals[k].segment == id && locals[k].level == level) return k;
    locals.push_back({level, id});
    return int(locals.size()) - 1;
  }
  Part& part_of(int from, int local) {
    for (size_t k = from; k < parts.size(); k++)
      if (parts[k].local == local) return parts[k];
    parts.push_back({I8{}, local});
    return parts.back();
  }
  void enter(int, int32_t) { total = seen = F8{}; }
  void at(int p, F8 weight, F8 T) {
    const F8 gated = keep((T > langfield::all(open)) & (weight >= langfield::all(floor)), weight);
    total += weight, seen += gated;
    for (int k = first[p]; k < first[p + 1]; k++) {
      const Part& part = parts[k];
      sums[2 * part.local] += keep(part.lanes, gated), sums[2 * part.local + 1] += keep(part.lanes, weight);
      if (!met[part.local]) met[part.local] = 1, list.push_back(part.local);
    }
  }
  void leave(int e) {
    const int64_t place = slot[e];
    const size_t before = found.size();
    const float every = sum(total);
    for (const Local& one : whole)
      if (every > 0) found.push_back({one.level, one.segment, sum(seen), every});
    for (int k : list) {
      const float all = sum(sums[2 * k + 1]);
      if (all > 0) found.push_back({locals[k].level, locals[k].segment, sum(sums[2 * k]), all});
      sums[2 * k] = sums[2 * k + 1] = F8{}, met[k] = 0;
    }
    list.clear();
    slot_total[place] = every, slot_start[place] = int64_t(before);
    slot_count[place] = int32_t(found.size() - before);
    entries.push_back(e);
  }
  void hand_over() {  // space is taken in any order; lf_scatter_* sort by content
    const int64_t at = cursor.fetch_add(int64_t(found.size()), std::memory_order_relaxed);
    if (at + int64_t(found.size()) > capacity) return;
    std::copy(found.begin(), found.end(), records + at);
    for (int e : entries) slot_start[slot[e]] += at;
  }
};

struct Item {
  uint64_t key;  // level, segment
  float gated, all;
};

// What Gaussian i met, sorted by level and segment. Records of equal key are added up in the order of the tiles; where
// they are few, as they nearly always are, that is faster looked up than sorted.
void gather(int64_t i, const int64_t* first, const int64_t* slot_start, const int32_t* slot_count,
            const Record* records, std::vector<Item>& to) {
  constexpr size_t FEW = 64;
  to.clear();
  for (int64_t s = first[i]; s < first[i + 1]; s++)
    for (int64_t r = slot_start[s]; r < slot_start[s] + slot_count[s]; r++) {
      const Record& record = records[r];
      const uint64_t key = uint64_t(record.level) << 32 | uint32_t(record.segment);
      size_t k = to.size() < FEW ? 0 : to.size();
      while (k < to.size() && to[k].key != key) k++;
      if (k == to.size()) to.push_back({key, record.gated, record.all});
      else to[k].gated += record.gated, to[k].all += record.all;
    }
  const auto by_key = [](const Item& a, const Item& b) { return a.key < b.key; };
  if (to.size() < FEW) return std::sort(to.begin(), to.end(), by_key);
  std::stable_sort(to.begin(), to.end(), by_key);
  size_t last = 0;
  for (size_t k = 1; k < to.size(); k++)
    if (to[k].key == to[last].key) to[last].gated += to[k].gated, to[last].all += to[k].all;
    else to[++last] = to[k];
  to.resize(last + 1);
}

}  // namespace

extern "C" {

// Walk the view and write one record for each segment that an entry meets. segments: int32 [L, H, W], -1: none;
// gate: the light that must be left, the least weight. records: 16 bytes each; slot_start: int64, slot_count: int32,
// slot_total: float, zeros [E]. needed: how many records there are; where that is more than `capacity`, call again.
void lf_scatter_walk(const float* packed, const int32_t* tile_start, const int32_t* entry_gaussian,
                     const int32_t* entry_slot, const int32_t* segments, int64_t levels, int64_t width, int64_t height,
                     int64_t smooth, const float* gate, int64_t threads, int64_t capacity, void* records,
                     int64_t* slot_start, int32_t* slot_count, float* slot_total, int64_t* needed) {
  const Walk w = walk_of(packed, tile_start, entry_gaussian, width, height, smooth);
  std::atomic<int64_t> cursor{0};
  share(threads, w.tiles, [&](const auto& take) {
    Scatter scatter = {w, segments, entry_slot, int(levels), gate[0], gate[1], capacity, cursor,
                       static_cast<Record*>(records), slot_start, slot_count, slot_total};
    scatter.sums.reset(new F8[2 * PIXELS * levels]);
    for (int64_t tile = take(); tile >= 0; tile = take()) {
      scatter.prepare(int(tile));
      walk_tile(w, int(tile), scatter);
      scatter.hand_over();
    }
  });
  *needed = cursor;
}

// many: int64 [n], different (level, segment) of each Gaussian; total: float [n].
void lf_scatter_count(const int64_t* first, const int64_t* slot_start, const int32_t* slot_count,
                      const float* slot_total, const void* records, int64_t n, int64_t threads, int64_t* many,
                      float* total) {
  const Record* all = static_cast<const Record*>(records);
  for_each_unit(threads, (n + 1023) / 1024, [&](int64_t b) {
    std::vector<Item> items;
    for (int64_t i = b * 1024; i < std::min(n, (b + 1) * 1024); i++) {
      gather(i, first, slot_start, slot_count, all, items);
      many[i] = int64_t(items.size()), total[i] = 0;
      for (int64_t s = first[i]; s < first[i + 1]; s++) total[i] += slot_total[s];
    }
  });
}

// end: int64 [n], running sum of `many`.
void lf_scatter_fill(const int64_t* first, const int64_t* slot_start, const int32_t* slot_count, const void* records,
                     int64_t n, int64_t threads, const int64_t* end, int64_t* gaussian, int32_t* level,
                     int32_t* segment, float* gated, float* weight) {
  const Record* all = static_cast<const Record*>(records);
  for_each_unit(threads, (n + 1023) / 1024, [&](int64_t b) {
    std::vector<Item> items;
    for (int64_t i = b * 1024; i < std::min(n, (b + 1) * 1024); i++) {
      gather(i, first, slot_start, slot_count, all, items);
      int64_t to = i ? end[i - 1] : 0;
      for (const Item& item : items) {
        gaussian[to] = i, level[to] = int32_t(item.key >> 32), segment[to] = int32_t(uint32_t(item.key));
        gated[to] = item.gated, weight[to++] = item.all;
      }
    }
  });
}

}  // extern "C"
