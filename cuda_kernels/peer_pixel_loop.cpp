// A peer for `langfield bench raster`, not used for drawing: the design of common CPU rasterizers (OpenSplat's, for
// one), written out plainly. Gaussian after Gaussian, near to far, over every pixel of its bounding box; each pixel
// keeps a growing list of the Gaussians drawn at it, and the backward pass walks that list from its end. OpenMP shares
// the rows of the picture; in the backward pass each thread adds to gradients of its own, summed up at the end.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr float CUT = 1.0f / 255, CAP = 0.999f, STOP = 1e-4f;

struct Scene {
  const float *means2d, *conics, *opacities, *features;  // [n, 2] [n, 3] [n] [n, F]
  const int32_t *radii, *order;                          // [n, 2]; near to far
  int64_t n, F;
  int width, height;
};

struct State {
  Scene scene;
  std::vector<std::vector<int32_t>> drawn;  // by pixel
};

struct Alpha {
  float dx, dy, raw, alpha;
};

inline bool alpha_at(const Scene& s, int64_t i, float x, float y, Alpha& o) {
  const float a = s.conics[3 * i], b = s.conics[3 * i + 1], c = s.conics[3 * i + 2];
  o.dx = x + 0.5f - s.means2d[2 * i], o.dy = y + 0.5f - s.means2d[2 * i + 1];
  const float sigma = 0.5f * (a * o.dx * o.dx + c * o.dy * o.dy) + b * o.dx * o.dy;
  if (sigma < 0) return false;
  o.raw = s.opacities[i] * expf(-sigma), o.alpha = std::min(o.raw, CAP);
  return o.alpha >= CUT;
}

inline int clamped(float v, int most) { return int(std::min(std::max(v, 0.0f), float(most))); }

void forward_rows(State& state, int top, int bottom, float* out, float* T) {
  const Scene& s = state.scene;
  for (int64_t k = 0; k < s.n; k++) {
    const int64_t i = s.order[k];
    const float mx = s.means2d[2 * i], my = s.means2d[2 * i + 1], rx = float(s.radii[2 * i]), ry = float(s.radii[2 * i + 1]);
    if (rx <= 0 || ry <= 0) continue;
    const int x0 = clamped(mx - rx, s.width), x1 = clamped(mx + rx + 1, s.width);
    const int y0 = std::max(clamped(my - ry, s.height), top), y1 = std::min(clamped(my + ry + 1, s.height), bottom);
    const float* f = s.features + i * s.F;
    for (int y = y0; y < y1; y++)
      for (int x = x0; x < x1; x++) {
        const int64_t p = int64_t(y) * s.width + x;
        Alpha o;
        if (T[p] < 0 || !alpha_at(s, i, float(x), float(y), o)) continue;
        const float next = T[p] * (1 - o.alpha), weight = o.alpha * T[p];
        if (next <= STOP) {  // full: a negative sign remembers it
          T[p] = -T[p];
          continue;
        }
        float* pixel = out + p * s.F;
        for (int64_t c = 0; c < s.F; c++) pixel[c] += weight * f[c];
        T[p] = next;
        state.drawn[p].push_back(int32_t(i));
      }
  }
  for (int64_t p = int64_t(top) * s.width; p < int64_t(bottom) * s.width; p++) T[p] = std::abs(T[p]);
}

void backward_pixel(const State& state, int64_t p, const float* T_end, const float* v_out, const float* v_T, float* v) {
  const Scene& s = state.scene;
  const float *u = v_out + p * s.F, x = float(p % s.width), y = float(p / s.width);
  float T = T_end[p], behind = v_T[p] * T;
  const std::vector<int32_t>& list = state.drawn[p];
  for (auto it = list.rbegin(); it != list.rend(); ++it) {
    const int64_t i = *it;
    Alpha o = {};
    alpha_at(s, i, x, y, o);
    const float inv = 1 / (1 - o.alpha), *f = s.features + i * s.F;
    T *= inv;
    const float weight = o.alpha * T;
    float* to = v + i * (6 + s.F);
    float worth = 0;
    for (int64_t c = 0; c < s.F; c++) worth += u[c] * f[c], to[6 + c] += weight * u[c];
    const float v_raw = o.raw <= CAP ? T * worth - behind * inv : 0, v_sigma = -o.raw * v_raw;
    behind += weight * worth;
    const float a = s.conics[3 * i], b = s.conics[3 * i + 1], c = s.conics[3 * i + 2];
    to[0] -= v_sigma * (a * o.dx + b * o.dy), to[1] -= v_sigma * (b * o.dx + c * o.dy);
    to[2] += 0.5f * o.dx * o.dx * v_sigma, to[3] += o.dx * o.dy * v_sigma, to[4] += 0.5f * o.dy * o.dy * v_sigma;
    to[5] += o.raw / s.opacities[i] * v_raw;
  }
}

}  // namespace

extern "C" {

// out: [height, width, F] zeros; T: [height, width] ones. Gives a state for the backward pass.
void* peer_forward(const float* means2d, const float* conics, const float* opacities, const float* features,
                   const int32_t* radii, const int32_t* order, int64_t n, int64_t F, int64_t width, int64_t height,
                   int64_t threads, float* out, float* T) {
  const Scene scene = {means2d, conics, opacities, features, radii, order, n, F, int(width), int(height)};
  State* state = new State{scene, std::vector<std::vector<int32_t>>(width * height)};
  const int bands = int(threads) * 8;  // more than threads, because some rows hold more than others
#pragma omp parallel for num_threads(int(threads)) schedule(dynamic)
  for (int band = 0; band < bands; band++)
    forward_rows(*state, int(height * band / bands), int(height * (band + 1) / bands), out, T);
  return state;
}

// v: [threads, n, 6 + F] zeros; the first holds the sums afterwards: mean2d 2, conic 3, opacity 1, features F.
void peer_backward(const void* of, int64_t threads, const float* T, const float* v_out, const float* v_T, float* v) {
  const State& state = *static_cast<const State*>(of);
  const Scene& s = state.scene;
  const int64_t pixels = int64_t(s.width) * s.height, size = s.n * (6 + s.F);
#pragma omp parallel num_threads(int(threads))
  {
    float* own = v + omp_get_thread_num() * size;
#pragma omp for schedule(dynamic, 1024)
    for (int64_t p = 0; p < pixels; p++) backward_pixel(state, p, T, v_out, v_T, own);
#pragma omp for
    for (int64_t j = 0; j < size; j++)
      for (int64_t t = 1; t < threads; t++) v[j] += v[t * size + j];
  }
}

void peer_free(void* state) { delete static_cast<State*>(state); }

}  // extern "C"
