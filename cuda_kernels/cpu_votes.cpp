// Codes of Gaussians from what views say of them (langfield/field/lift.py): votes for segments are added up, each
// segment a sparse code over the atoms of a codebook, and the sum is written with few of its heaviest atoms again, as
// langfield/codec/pursuit.py does. A row more does not depend on another.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "cpu_threads.h"

using namespace langfield;

namespace {

constexpr int COLUMN_BITS = 31, GAUSSIAN_BITS = 29, SEGMENT_BITS = 15;  // as in lift.py
constexpr double STEPS_PER_PX = 1 << 30;
constexpr int CANDIDATES = 16, SWEEPS = 10, UNIT = 512, WIDE = 16;  // rows fitted together
constexpr int MAX_WEIGHT = 63, WEIGHT_BITS = 6;

struct Views {
  const int64_t *const *key, *const *steps;
  const int64_t *length, *first_segment;
  int64_t many;
};

struct Book {
  const int32_t* index;  // [S, T], the last term of each is the mean
  const float* weight;
  int64_t terms;
  const float* gram;  // [side, side], the mean's row is the last
  int64_t side;
  int words;
  float unit;
};

struct Vote {
  int64_t view, segment, gated, all;
};

struct Fit {  // WIDE sums of atoms, turned
  int32_t atom[CANDIDATES][WIDE];
  float value[CANDIDATES][WIDE], product[CANDIDATES][WIDE], left[CANDIDATES][WIDE];
  float own[CANDIDATES][CANDIDATES][WIDE], taken[CANDIDATES][CANDIDATES][WIDE];
  float gram[CANDIDATES][CANDIDATES][WIDE], aim[CANDIDATES][WIDE], weight[CANDIDATES][WIDE];
  float inverse[CANDIDATES][WIDE];  // of the diagonal of gram
  int32_t pick[CANDIDATES][WIDE];

  void prepare(const Book& book) {
    int32_t row[WIDE];
    for (int c = 0; c < CANDIDATES; c++) {
#pragma omp simd
      for (int i = 0; i < WIDE; i++) row[i] = std::max(atom[c][i], 0) * int32_t(book.side);
      for (int d = 0; d <= c; d++)
#pragma omp simd
        for (int i = 0; i < WIDE; i++) {
          const float both = book.gram[row[i] + std::max(atom[d][i], 0)];
          own[c][d][i] = own[d][c][i] = atom[c][i] < 0 || atom[d][i] < 0 ? 0 : both;
        }
    }
    std::memset(product, 0, sizeof product);
    for (int c = 0; c < CANDIDATES; c++) {
      for (int d = 0; d < CANDIDATES; d++)
#pragma omp simd
        for (int i = 0; i < WIDE; i++) product[c][i] += own[c][d][i] * value[d][i];
      for (int i = 0; i < WIDE; i++) left[c][i] = atom[c][i] < 0 ? -INFINITY : product[c][i];
    }
  }
  void take(int k) {  // what points most into what is left; a lane that has no more takes nothing
    int32_t best[WIDE] = {};
    float most[WIDE];
    std::memcpy(most, left[0], sizeof most);
    for (int c = 1; c < CANDIDATES; c++)
#pragma omp simd
      for (int i = 0; i < WIDE; i++) {
        const bool more = left[c][i] > most[i];
        best[i] = more ? c : best[i], most[i] = more ? left[c][i] : most[i];
      }
#pragma omp simd
    for (int i = 0; i < WIDE; i++) {
      const bool none = most[i] == -INFINITY;
      pick[k][i] = none ? -1 : best[i], aim[k][i] = none ? -1 : (&product[0][0])[best[i] * WIDE + i], weight[k][i] = 0;
    }
    for (int c = 0; c < CANDIDATES; c++)
#pragma omp simd
      for (int i = 0; i < WIDE; i++) {
        const float product_of_both = (&own[0][0][0])[(best[i] * CANDIDATES + c) * WIDE + i];
        taken[k][c][i] = pick[k][i] < 0 ? 0 : product_of_both;
      }
    for (int j = 0; j <= k; j++)
#pragma omp simd
      for (int i = 0; i < WIDE; i++) {
        const float product_of_both = (&taken[j][0][0])[best[i] * WIDE + i];
        gram[k][j][i] = gram[j][k][i] = pick[k][i] < 0 || pick[j][i] < 0 ? 0 : product_of_both;
      }
    for (int i = 0; i < WIDE; i++) inverse[k][i] = 1 / std::max(gram[k][k][i], 1e-12f);
  }
  void refit(int k) {
    for (int sweep = 0; sweep < (k ? SWEEPS : 1); sweep++)
      for (int a = 0; a <= k; a++) {
        float rest[WIDE];
        std::memcpy(rest, aim[a], sizeof rest);
        for (int j = 0; j <= k; j++)
#pragma omp simd
          for (int i = 0; i < WIDE; i++) rest[i] -= gram[a][j][i] * weight[j][i];
#pragma omp simd
        for (int i = 0; i < WIDE; i++) weight[a][i] = std::max(0.0f, weight[a][i] + rest[i] * inverse[a][i]);
      }
  }
  void subtract(int k) {
    for (int c = 0; c < CANDIDATES; c++) {
      float rest[WIDE];
      std::memcpy(rest, product[c], sizeof rest);
      for (int j = 0; j <= k; j++)
#pragma omp simd
        for (int i = 0; i < WIDE; i++) rest[i] -= taken[j][c][i] * weight[j][i];
      for (int i = 0; i < WIDE; i++) left[c][i] = atom[c][i] < 0 ? -INFINITY : rest[i];
    }
    for (int j = 0; j <= k; j++)
      for (int i = 0; i < WIDE; i++)
        if (pick[j][i] >= 0) left[pick[j][i]][i] = -INFINITY;
  }
  void run(const Book& book) {
    prepare(book);
    for (int k = 0; k < book.words; k++) {
      take(k), refit(k);
      if (k + 1 < book.words) subtract(k);
    }
  }
};

struct Heaviest {  // the heaviest atoms met so far; of equal ones those of higher number
  uint64_t all[CANDIDATES];  // bits of a positive weight, in the order of weights, and the atom
  uint64_t least = 0;        // of all, once there are so many
  int many = 0;

  void meet(float weight, int32_t atom) {
    uint32_t bits;
    std::memcpy(&bits, &weight, sizeof bits);
    const uint64_t one = uint64_t(bits) << 32 | uint32_t(atom);
    if (many == CANDIDATES) {
      if (one <= least) return;
      for (int c = 0; c < CANDIDATES; c++) all[c] = all[c] == least ? one : all[c];
    } else {
      all[many++] = one;
    }
    if (many < CANDIDATES) return;
    least = all[0];
#pragma omp simd reduction(min : least)
    for (int c = 0; c < CANDIDATES; c++) least = std::min(least, all[c]);
  }
};

struct Solver {
  const Views& views;
  const Book& book;
  const int64_t* gaussian;  // [n], rising
  int64_t n, thin;
  uint16_t* words;     // [levels, n, K]
  float* reliability;  // [levels, n]

  std::vector<const int64_t*> next = {};  // entry of each view
  std::vector<Vote> votes = {};           // of one row
  std::vector<int32_t> touched = {};
  std::vector<float> sum = {};
  std::vector<char> met = {};
  int many = 0;                         // atoms touched
  std::unique_ptr<Fit> fit = std::make_unique<Fit>();
  int64_t target[WIDE] = {};  // row of the outputs
  float mass[WIDE] = {}, seen[WIDE] = {};
  int waiting = 0;

  static int64_t key_of(int64_t level, int64_t row) { return ((level << GAUSSIAN_BITS) | row) << COLUMN_BITS; }
  void rows(int64_t level, int64_t low, int64_t high) {
    next.resize(views.many);
    for (int64_t v = 0; v < views.many; v++)
      next[v] = std::lower_bound(views.key[v], views.key[v] + views.length[v], key_of(level, gaussian[low]));
    for (int64_t r = low; r < high; r++) {
      const int64_t begin = key_of(level, gaussian[r]), end = begin + (int64_t(1) << COLUMN_BITS);
      votes.clear();
      for (int64_t v = 0; v < views.many; v++) {
        const int64_t *k = next[v], *last = views.key[v] + views.length[v];
        while (k < last && *k < begin) k++;
        for (; k < last && *k < end; k++) {
          const int64_t* steps = views.steps[v] + 2 * (k - views.key[v]);
          votes.push_back({v, views.first_segment[v] + (*k & ((1 << SEGMENT_BITS) - 1)),
                           std::max<int64_t>(steps[0], 0), std::max<int64_t>(steps[1], 0)});
        }
        next[v] = k;
      }
      row(votes.data(), votes.data() + votes.size(), level * n + r);
    }
    flush();
  }
  void row(const Vote* from, const Vote* to, int64_t target_row) {
    int64_t support = 0, total = 0;
    for (const Vote* v = from; v < to; v++) support += v->gated;
    const bool use_all = support < thin;
    for (const Vote* v = from; v < to; v++) total += use_all ? v->all : v->gated;
    if (total <= 0) return;
    double squares = 0, of_view = 0;
    for (const Vote* v = from; v < to; v++) {
      const int64_t steps = use_all ? v->all : v->gated;
      of_view += double(steps) / STEPS_PER_PX;
      if (v + 1 == to || v[1].view != v->view) squares += of_view * of_view, of_view = 0;
      if (steps > 0) add(v->segment, float(double(steps) / double(total)));
    }
    const double px = double(total) / STEPS_PER_PX;
    hand_over(target_row, float(px * px / std::max(squares, 1e-30)));
  }
  void add(int64_t segment, float share) {
    const int32_t* index = book.index + segment * book.terms;
    const float* weight = book.weight + segment * book.terms;
    for (int64_t t = 0; t < book.terms; t++) {
      const int32_t a = index[t];
      touched[many] = a, many += !met[a], met[a] = 1;
      sum[a] += share * weight[t];
    }
  }
  void hand_over(int64_t target_row, float views_seen) {
    const float of_mean = sum[book.side - 1];
    Heaviest heaviest;
    for (int k = 0; k < many; k++) {
      const int32_t a = touched[k];
      if (a != book.side - 1 && sum[a] > 0) heaviest.meet(sum[a], a);
      sum[a] = 0, met[a] = 0;
    }
    many = 0;
    if (of_mean <= 0 || !heaviest.many) return;
    for (int c = 0; c < CANDIDATES; c++) {
      const bool there = c < heaviest.many;
      const uint32_t bits = there ? uint32_t(heaviest.all[c] >> 32) : 0;
      float weight;
      std::memcpy(&weight, &bits, sizeof weight);
      fit->atom[c][waiting] = there ? int32_t(uint32_t(heaviest.all[c])) : -1, fit->value[c][waiting] = weight / of_mean;
    }
    mass[waiting] = of_mean, seen[waiting] = views_seen, target[waiting] = target_row;
    if (++waiting == WIDE) flush();
  }
  void flush() {
    if (!waiting) return;
    for (int i = waiting; i < WIDE; i++)
      for (int c = 0; c < CANDIDATES; c++) fit->atom[c][i] = -1, fit->value[c][i] = 0;
    fit->run(book);
    for (int i = 0; i < waiting; i++) write(i);
    waiting = 0;
  }
  void write(int i) {
    uint16_t* to = words + target[i] * book.words;
    float step[CANDIDATES], square = book.gram[book.side * book.side - 1];
    int64_t atom[CANDIDATES];
    for (int k = 0; k < book.words; k++) {
      const int pick = fit->pick[k][i];
      float whole = pick < 0 ? 0 : std::nearbyint(fit->weight[k][i] / book.unit);
      whole = std::min<float>(std::max<float>(whole, k == 0), MAX_WEIGHT);
      atom[k] = pick < 0 ? 0 : fit->atom[pick][i], step[k] = whole * book.unit;
      to[k] = whole == 0 ? 0 : uint16_t(atom[k] << WEIGHT_BITS | int64_t(whole));
      const float* products = book.gram + atom[k] * book.side;
      float others = products[book.side - 1];
      for (int j = 0; j < k; j++) others += step[j] * products[atom[j]];
      square += step[k] * (step[k] * products[atom[k]] + 2 * others);
    }
    reliability[target[i]] = mass[i] * std::sqrt(std::max(square, 0.0f)) * seen[i];
  }
};

}  // namespace

extern "C" {

// keys, steps: addresses of each view's sums, [views]; length and first segment in the tables of each. index, weight:
// [S, T] of every segment's code, its last term the mean. gram: [side, side], atoms and, last, the mean. gaussian:
// int64 [n], rising. thin: steps below which unseen weights count. words (int16 [levels, n,
// K], K up to 16) and reliability [levels, n] come as zeros, and rows that nobody votes for stay so.
void lf_solve_votes(const int64_t* keys, const int64_t* steps, const int64_t* length, const int64_t* first_segment,
                    int64_t views, const int32_t* index, const float* weight, int64_t terms, const float* gram,
                    int64_t side, const float* unit, const int64_t* gaussian, int64_t n,
                    int64_t levels, int64_t thin, int64_t K, int64_t threads, uint16_t* words, float* reliability) {
  const Views all = {reinterpret_cast<const int64_t* const*>(keys), reinterpret_cast<const int64_t* const*>(steps),
                     length, first_segment, views};
  const Book book = {index, weight, terms, gram, side, int(K), *unit};
  const int64_t blocks = (n + UNIT - 1) / UNIT;
  share(threads, levels * blocks, [&](const auto& take) {
    Solver solver = {all, book, gaussian, n, thin, words, reliability};
    solver.sum.assign(side, 0), solver.met.assign(side, 0), solver.touched.assign(side + 1, 0);
    for (int64_t unit = take(); unit >= 0; unit = take()) {
      const int64_t low = unit % blocks * UNIT;
      solver.rows(unit / blocks, low, std::min(n, low + UNIT));
    }
  });
}

}  // extern "C"
