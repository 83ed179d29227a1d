// Sparse codes of 16-bit words (langfield/codec/words.py: an atom in the upper ten bits, how much of it in the lower
// six) asked without decoding, and looked up from a list; a code more does not depend on another.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>

#include "cpu_sigmoid.h"
#include "cpu_threads.h"

using namespace langfield;

namespace {

constexpr int ATOMS = 1024, BITS = 6, STEPS = 1 << BITS, GROUP = 64, UNIT = 8192, MOST_WORDS = 64;

struct Codes {
  const uint16_t* words;  // [n, K]
  int64_t n;
  int K;
};

struct Words {  // of GROUP codes, turned; missing codes are zeros
  int many;
  uint16_t word[MOST_WORDS][GROUP];
  void load(const Codes& codes, int64_t first) {
    many = int(std::min<int64_t>(GROUP, codes.n - first));
    const uint16_t* from = codes.words + first * codes.K;
    for (int i = 0; i < many; i++, from += codes.K)
      for (int k = 0; k < codes.K; k++) word[k][i] = from[k];
    for (int k = 0; k < codes.K && many < GROUP; k++) std::fill(word[k] + many, word[k] + GROUP, uint16_t(0));
  }
};

// Table of one query, filled up so that words of a foreign file do not reach beyond it.
void fill_table(const float* table, int64_t A, int64_t Q, int64_t q, float* to) {
  for (int a = 0; a < ATOMS; a++) to[a] = table[std::min<int64_t>(a, A - 1) * Q + q];
}

void look_up(const Words& words, int K, const float* table, float start, float* sum) {
  for (int i = 0; i < GROUP; i++) sum[i] = start;
  for (int k = 0; k < K; k++)
#pragma omp simd
    for (int i = 0; i < GROUP; i++) {
      const int32_t word = words.word[k][i];
      sum[i] += float(word & (STEPS - 1)) * table[word >> BITS];
    }
}

void finish(float* sum, const float* scale, const float* nearest, float gain, int many) {
  float padded[3][GROUP] = {};
  std::copy(scale, scale + many, padded[0]);
  if (nearest) std::copy(nearest, nearest + many, padded[1]);
  for (int i = 0; i < GROUP; i += LANES) {
    F8 s, by, least;
    std::memcpy(&s, sum + i, sizeof s), std::memcpy(&by, padded[0] + i, sizeof by);
    std::memcpy(&least, padded[1] + i, sizeof least);
    s = s * by;
    if (nearest) s = sigmoid((s - least) * all(gain));
    std::memcpy(sum + i, &s, sizeof s);
  }
}

// The square of a code's length: of the sum of its atoms and of the mean, whose row is the last.
float square_of(const uint16_t* words, int K, const float* gram, int64_t A) {
  int64_t row[MOST_WORDS];
  float step[MOST_WORDS], square = 0;
  int many = 0;
  for (int k = 0; k < K; k++)
    if (words[k] & (STEPS - 1))
      row[many] = std::min<int64_t>(words[k] >> BITS, A - 1), step[many++] = float(words[k] & (STEPS - 1));
  if (!many) return 0;
  const int64_t side = A + 1;
  for (int k = 0; k < many; k++) {
    const float* products = gram + row[k] * side;
    float others = products[A];
    for (int j = 0; j < k; j++) others += step[j] * products[row[j]];
    square += step[k] * (step[k] * products[row[k]] + 2 * others);
  }
  return square + gram[A * side + A];
}

}  // namespace

extern "C" {

// words: int16 [n, K]; table: [A + 1, Q], of one step of each atom, its last row of what every code holds; scale: [n],
// 0 where there is no code. out[i * row + q * column] is scale times the sum; with nearest, [n], it is
// sigmoid(gain (that - nearest)). A is at most 1024, K at most 64.
void lf_word_scores(const uint16_t* words, int64_t n, int64_t K, const float* table, int64_t A, int64_t Q,
                    const float* scale, const float* nearest, const float* gain, int64_t threads, float* out,
                    int64_t row, int64_t column) {
  const Codes codes = {words, n, int(K)};
  const std::unique_ptr<float[]> tables(new float[Q * ATOMS]);
  for (int64_t q = 0; q < Q; q++) fill_table(table, A, Q, q, tables.get() + q * ATOMS);
  share(threads, (n + UNIT - 1) / UNIT, [&](const auto& take) {
    const std::unique_ptr<Words> own(new Words);
    float sum[GROUP];
    for (int64_t unit = take(); unit >= 0; unit = take())
      for (int64_t i = unit * UNIT; i < std::min(n, (unit + 1) * UNIT); i += GROUP) {
        own->load(codes, i);
        for (int64_t q = 0; q < Q; q++) {
          look_up(*own, int(K), tables.get() + q * ATOMS, table[A * Q + q], sum);
          finish(sum, scale + i, nearest ? nearest + i : nullptr, *gain, own->many);
          float* to = out + i * row + q * column;
          if (row == 1) std::copy(sum, sum + own->many, to);
          else
            for (int l = 0; l < own->many; l++) to[l * row] = sum[l];
        }
      }
  });
}

// gram: [A + 1, A + 1], products of one step of each atom, and of the mean, with each other. out: [n], one over the
// code's length; 0 where there is no code.
void lf_word_scales(const uint16_t* words, int64_t n, int64_t K, const float* gram, int64_t A, int64_t threads,
                    float* out) {
  for_each_in_blocks(threads, n, UNIT, [&](int64_t i) {
    const float square = square_of(words + i * K, int(K), gram, A);
    out[i] = square == 0 ? 0 : 1 / std::sqrt(std::max(square, 1e-12f));
  });
}

}  // extern "C"
