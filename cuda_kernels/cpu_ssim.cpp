// Structural similarity with its gradient in one call (Wang et al. 2004; window 11x11, sigma 1.5, zeros outside).
// Rows of interleaved colours are treated as one long vector; first blurred down the columns, then along the rows.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu_threads.h"

namespace {

constexpr int RADIUS = 5, COLOURS = 3, PAD = RADIUS * COLOURS;
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;

struct Window {
  float tap[2 * RADIUS + 1];
  Window() {
    float sum = 0;
    for (int k = -RADIUS; k <= RADIUS; k++) sum += tap[k + RADIUS] = expf(-float(k * k) / (2 * 1.5f * 1.5f));
    for (float& t : tap) t /= sum;
  }
};

struct Size {
  int64_t height, row, padded;  // floats in a row, and with the zeros on both sides
};

// One blurred value along a padded row.
inline float along(const float* row, int64_t i, const Window& w) {
  float sum = 0;
  for (int k = 0; k <= 2 * RADIUS; k++) sum += w.tap[k] * row[i + k * COLOURS];
  return sum;
}

float* cleared(float* row, const Size& s) {  // zeros at both ends and, for summing up, between
  std::memset(row, 0, s.padded * sizeof(float));
  return row + PAD;
}

// Blur a, b, aa, bb and ab down the columns into five padded maps.
void down_products(const float* a, const float* b, int64_t y, const Size& s, const Window& w, float* maps) {
  float* out[5];
  for (int m = 0; m < 5; m++) out[m] = cleared(maps + (m * s.height + y) * s.padded, s);
  for (int64_t from = std::max<int64_t>(0, y - RADIUS); from <= std::min(s.height - 1, y + RADIUS); from++) {
    const float t = w.tap[from - y + RADIUS], *p = a + from * s.row, *q = b + from * s.row;
#pragma omp simd
    for (int64_t i = 0; i < s.row; i++) {
      const float u = t * p[i], v = t * q[i];
      out[0][i] += u, out[1][i] += v, out[2][i] += u * p[i], out[3][i] += v * q[i], out[4][i] += u * q[i];
    }
  }
}

// Similarity of one row, added up; its derivatives by the blurred a, aa and ab into three plain maps.
double similarity(const float* maps, int64_t y, const Size& s, const Window& w, float* slopes) {
  const float* in[5];
  float* out[3];
  for (int m = 0; m < 5; m++) in[m] = maps + (m * s.height + y) * s.padded;
  for (int m = 0; m < 3; m++) out[m] = slopes + (m * s.height + y) * s.row;
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < s.row; i++) {
    const float ma = along(in[0], i, w), mb = along(in[1], i, w), ab = along(in[4], i, w);
    const float aa = along(in[2], i, w), bb = along(in[3], i, w);
    const float a1 = 2 * ma * mb + C1, a2 = 2 * (ab - ma * mb) + C2;
    const float b1 = ma * ma + mb * mb + C1, b2 = aa - ma * ma + bb - mb * mb + C2;
    const float inv = 1 / (b1 * b2), value = a1 * a2 * inv;
    out[0][i] = 2 * mb * (a2 - a1) * inv - 2 * ma * value * (b2 - b1) * inv;
    out[1][i] = -value * b1 * inv, out[2][i] = 2 * a1 * inv;
    sum += double(value);
  }
  return sum;
}

void down_slopes(const float* slopes, int64_t y, const Size& s, const Window& w, float* maps) {
  for (int m = 0; m < 3; m++) {
    float* out = cleared(maps + (m * s.height + y) * s.padded, s);
    for (int64_t from = std::max<int64_t>(0, y - RADIUS); from <= std::min(s.height - 1, y + RADIUS); from++) {
      const float t = w.tap[from - y + RADIUS], *p = slopes + (m * s.height + from) * s.row;
#pragma omp simd
      for (int64_t i = 0; i < s.row; i++) out[i] += t * p[i];
    }
  }
}

void gradient(const float* a, const float* b, const float* maps, int64_t y, const Size& s, const Window& w, float* v_a) {
  const float* in[3];
  for (int m = 0; m < 3; m++) in[m] = maps + (m * s.height + y) * s.padded;
  const float scale = 1.0f / float(s.height * s.row), *p = a + y * s.row, *q = b + y * s.row;
#pragma omp simd
  for (int64_t i = 0; i < s.row; i++)
    v_a[y * s.row + i] =
        scale * (along(in[0], i, w) + 2 * p[i] * along(in[1], i, w) + q[i] * along(in[2], i, w));
}

}  // namespace

extern "C" {

// a, b, v_a: [height, width, 3]; maps: float [5, height, 3 (width + 10)] scratch; slopes: float [3, height, 3 width]
// scratch; rows: double [height] scratch. Gives the mean similarity and, in v_a, its gradient by a.
double lf_ssim(const float* a, const float* b, int64_t width, int64_t height, int64_t threads, float* maps,
               float* slopes, double* rows, float* v_a) {
  const Size s = {height, width * COLOURS, (width + 2 * RADIUS) * COLOURS};
  const Window w;
  const auto rows_of = [&](const auto& each) { langfield::for_each_in_blocks(threads, height, 16, each); };
  rows_of([&](int64_t y) { down_products(a, b, y, s, w, maps); });
  rows_of([&](int64_t y) { rows[y] = similarity(maps, y, s, w, slopes); });
  rows_of([&](int64_t y) { down_slopes(slopes, y, s, w, maps); });
  rows_of([&](int64_t y) { gradient(a, b, maps, y, s, w, v_a); });
  double sum = 0;
  for (int64_t y = 0; y < height; y++) sum += rows[y];
  return sum / double(s.height * s.row);
}

}  // extern "C"
