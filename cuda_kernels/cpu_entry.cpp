// The rasterizer for the CPU behind plain C functions: raw pointers and integers, all memory is the caller's.
// Every sum is taken in an order that does not depend on the number of threads.
//
// Order of calls for a view: lf_project, lf_count_tiles, lf_fill_tiles, lf_blend; backward: lf_blend_backward,
// lf_project_backward. Arrays are dense, row-major, float unless said otherwise.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu_threads.h"
#include "gaussian_math.cuh"

using namespace langfield;

namespace {

constexpr int BLOCK = 1024;  // Gaussians per unit of work, so that sums over blocks never change

Camera camera_from(const float* c, int64_t width, int64_t height) {  // W 9, t 3, fx fy cx cy, near, blur
  Camera o;
  std::memcpy(o.W, c, sizeof o.W), std::memcpy(o.t, c + 9, sizeof o.t);
  o.fx = c[12], o.fy = c[13], o.cx = c[14], o.cy = c[15], o.near = c[16], o.blur = c[17];
  o.width = float(width), o.height = float(height);
  return o;
}

void camera_centre(const Camera& c, float o[3]) {  // -W^T t
  for (int j = 0; j < 3; j++) o[j] = -(c.W[j] * c.t[0] + c.W[3 + j] * c.t[1] + c.W[6 + j] * c.t[2]);
}

// Unit vector from the camera to the Gaussian; gives 1 / distance.
float view_direction(const float* mean, const float centre[3], float d[3]) {
  for (int i = 0; i < 3; i++) d[i] = mean[i] - centre[i];
  const float inv = 1 / sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
  for (int i = 0; i < 3; i++) d[i] *= inv;
  return inv;
}

float sigmoid(float x) { return 1 / (1 + expf(-x)); }

struct Drawn {
  float mean2d[2], conic[3], depth, opacity, colour[3];
  int radius[2];
};

// Everything blending needs of one Gaussian; false where it cannot be seen or holds values that are not finite.
bool draw(const float* mean, const float* quat, const float* log_scale, float logit, const float* sh, int degree,
          const Camera& c, const float centre[3], Drawn& o) {
  Shape shape;
  if (!shape_on_screen(mean, quat, log_scale, c, shape) || !conic_of(shape.cov, o.conic)) return false;
  o.depth = shape.p[2], o.opacity = sigmoid(logit);
  o.mean2d[0] = c.fx * shape.p[0] / o.depth + c.cx, o.mean2d[1] = c.fy * shape.p[1] / o.depth + c.cy;
  if (!std::isfinite(logit) || !(o.opacity >= ALPHA_CUT) || !std::isfinite(o.depth)) return false;
  const float extent = sqrtf(2 * logf(o.opacity / ALPHA_CUT)), size[2] = {c.width, c.height};
  for (int i = 0; i < 2; i++) {
    const float r = ceilf(std::min(extent * sqrtf(shape.cov[2 * i]), MAX_RADIUS));
    if (!(o.mean2d[i] + r > 0 && o.mean2d[i] - r < size[i]) || !(r > 0)) return false;
    o.radius[i] = int(r);
  }
  for (float& v : o.colour) v = 0;
  if (!sh) return true;
  float d[3], Y[16];
  view_direction(mean, centre, d);
  harmonics(degree, d, Y, nullptr);
  for (int k = 0; k < (degree + 1) * (degree + 1); k++)
    for (int i = 0; i < 3; i++) o.colour[i] += Y[k] * sh[3 * k + i];
  for (float& v : o.colour) {
    if (!std::isfinite(v)) return false;
    v = std::max(v + 0.5f, 0.0f);
  }
  return true;
}

// Least significant digit first, stable: equal depths keep their order in the scene. The result is in `order`.
void sort_by_depth(int32_t* order, uint32_t* keys, int32_t* order2, uint32_t* keys2, int64_t n) {
  for (int shift = 0; shift < 32; shift += 8, std::swap(order, order2), std::swap(keys, keys2)) {
    int64_t start[257] = {};
    for (int64_t i = 0; i < n; i++) start[(keys[i] >> shift & 0xff) + 1]++;
    for (int b = 0; b < 256; b++) start[b + 1] += start[b];
    for (int64_t i = 0; i < n; i++) {
      const int64_t to = start[keys[i] >> shift & 0xff]++;
      order2[to] = order[i], keys2[to] = keys[i];
    }
  }
}

struct Box {
  int x0, x1, y0, y1;  // tiles, ends exclusive
};

Box tiles_of(const float* mean2d, const int32_t* radius, int tiles_x, int tiles_y) {
  const float inv = 1.0f / TILE;
  auto low = [inv](float v, int n) { return int(clampf(floorf(v * inv), 0, float(n))); };
  auto high = [inv](float v, int n) { return int(clampf(ceilf(v * inv), 0, float(n))); };
  const float rx = float(radius[0]), ry = float(radius[1]);
  return {low(mean2d[0] - rx, tiles_x), high(mean2d[0] + rx, tiles_x), low(mean2d[1] - ry, tiles_y),
          high(mean2d[1] + ry, tiles_y)};
}

}  // namespace

extern "C" {

void lf_project(const float* means, const float* quats, const float* log_scales, const float* logits, const float* sh,
                int64_t n, int64_t k_sh, int64_t degree, const float* cam, int64_t width, int64_t height, int64_t threads, float* means2d,
                float* conics, float* depths, float* opacities, float* colours, int32_t* radii) {
  const Camera c = camera_from(cam, width, height);
  float centre[3];
  camera_centre(c, centre);
  for_each_in_blocks(threads, n, BLOCK, [&](int64_t i) {
    Drawn o = {};
    const float* own_sh = sh ? sh + i * k_sh * 3 : nullptr;
    if (!draw(means + 3 * i, quats + 4 * i, log_scales + 3 * i, logits[i], own_sh, degree, c, centre, o)) o = Drawn{};
    std::memcpy(means2d + 2 * i, o.mean2d, sizeof o.mean2d), std::memcpy(conics + 3 * i, o.conic, sizeof o.conic);
    std::memcpy(colours + 3 * i, o.colour, sizeof o.colour), std::memcpy(radii + 2 * i, o.radius, sizeof o.radius);
    depths[i] = o.depth, opacities[i] = o.opacity;
  });
}

// v_sh may be null (no colour). partial: double [ceil(n / 1024), 12]; v_camera: W 9, t 3.
void lf_project_backward(const float* means, const float* quats, const float* log_scales, const float* logits,
                         const float* sh, int64_t n, int64_t k_sh, int64_t degree, const float* cam, int64_t width, int64_t height,
                         int64_t threads, const int32_t* radii, const float* v_means2d, const float* v_conics,
                         const float* v_depths, const float* v_opacities, const float* v_colours, float* v_means,
                         float* v_quats, float* v_log_scales, float* v_logits, float* v_sh, double* partial,
                         float* v_camera) {
  const Camera c = camera_from(cam, width, height);
  float centre[3];
  camera_centre(c, centre);
  const int64_t blocks = (n + BLOCK - 1) / BLOCK;
  const int used = (degree + 1) * (degree + 1);
  for_each_unit(threads, blocks, [&](int64_t b) {
    double* sum = partial + 12 * b;
    std::fill(sum, sum + 12, 0.0);
    for (int64_t i = b * BLOCK; i < std::min(n, (b + 1) * BLOCK); i++) {
      float* v_mean = v_means + 3 * i;
      std::fill(v_mean, v_mean + 3, 0.0f), std::fill(v_quats + 4 * i, v_quats + 4 * i + 4, 0.0f);
      std::fill(v_log_scales + 3 * i, v_log_scales + 3 * i + 3, 0.0f), v_logits[i] = 0;
      if (sh) std::fill(v_sh + i * k_sh * 3, v_sh + (i + 1) * k_sh * 3, 0.0f);
      if (radii[2 * i] <= 0) continue;
      Shape shape;
      float conic[3], v_p[3], v_W[9], v_centre[3] = {0, 0, 0};
      shape_on_screen(means + 3 * i, quats + 4 * i, log_scales + 3 * i, c, shape);
      conic_of(shape.cov, conic);
      shape_backward(shape, c, conic, v_conics + 3 * i, v_means2d + 2 * i, v_depths[i], v_p, v_W, v_quats + 4 * i,
                     v_log_scales + 3 * i);
      const float opacity = sigmoid(logits[i]);
      v_logits[i] = v_opacities[i] * opacity * (1 - opacity);
      if (sh) {
        float d[3], Y[16], D[16][3], v_d[3] = {0, 0, 0}, colour[3] = {0.5f, 0.5f, 0.5f};
        const float* own = sh + i * k_sh * 3;
        const float inv = view_direction(means + 3 * i, centre, d);
        harmonics(degree, d, Y, D);
        for (int k = 0; k < used; k++)
          for (int j = 0; j < 3; j++) colour[j] += Y[k] * own[3 * k + j];
        for (int k = 0; k < used; k++) {
          float v_Y = 0;
          for (int j = 0; j < 3; j++) {
            const float v = colour[j] >= 0 ? v_colours[3 * i + j] : 0;
            v_sh[i * k_sh * 3 + 3 * k + j] = Y[k] * v, v_Y += own[3 * k + j] * v;
          }
          for (int j = 0; j < 3; j++) v_d[j] += v_Y * D[k][j];
        }
        const float along = d[0] * v_d[0] + d[1] * v_d[1] + d[2] * v_d[2];
        for (int j = 0; j < 3; j++) v_mean[j] = (v_d[j] - d[j] * along) * inv, v_centre[j] = -v_mean[j];
      }
      for (int r = 0; r < 3; r++)
        for (int j = 0; j < 3; j++) {
          v_mean[j] += c.W[3 * r + j] * v_p[r];
          sum[3 * r + j] += v_W[3 * r + j] + v_p[r] * means[3 * i + j] - c.t[r] * v_centre[j];
          sum[9 + r] -= c.W[3 * r + j] * v_centre[j];
        }
      for (int r = 0; r < 3; r++) sum[9 + r] += v_p[r];
    }
  });
  for (int j = 0; j < 12; j++) {
    double total = 0;
    for (int64_t b = 0; b < blocks; b++) total += partial[12 * b + j];
    v_camera[j] = float(total);
  }
}

// first: int64 [n + 1], entries of Gaussian i are first[i] .. first[i + 1]; gives their number.
int64_t lf_count_tiles(const float* means2d, const float* /*conics*/, const float* /*opacities*/, const int32_t* radii, int64_t n, int64_t width, int64_t height, int64_t* first) {
  const int tx = int((width + TILE - 1) / TILE), ty = int((height + TILE - 1) / TILE);
  first[0] = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t count = 0;
    if (radii[2 * i] > 0 && radii[2 * i + 1] > 0) {
      const Box b = tiles_of(means2d + 2 * i, radii + 2 * i, tx, ty);
      count = int64_t(std::max(b.x1 - b.x0, 0)) * std::max(b.y1 - b.y0, 0);
    }
    first[i + 1] = first[i] + count;
  }
  return first[n];
}

// tile_start: int32 [tiles + 1]; entry_gaussian, entry_slot: int32 [E], tile by tile, near to far; a slot is the
// entry's place when counted Gaussian by Gaussian. scratch: int32 [4 n].
void lf_fill_tiles(const float* means2d, const float* /*conics*/, const float* /*opacities*/, const int32_t* radii, const float* depths, int64_t n, int64_t width, int64_t height,
                   const int64_t* first, int32_t* scratch, int32_t* tile_start, int32_t* entry_gaussian,
                   int32_t* entry_slot) {
  const int tx = int((width + TILE - 1) / TILE), ty = int((height + TILE - 1) / TILE);
  int32_t *order = scratch, *order2 = scratch + n;
  uint32_t *keys = reinterpret_cast<uint32_t*>(scratch + 2 * n), *keys2 = keys + n;
  int64_t seen = 0;
  for (int64_t i = 0; i < n; i++)
    if (first[i + 1] > first[i]) {  // depths are positive: their bits sort like they do
      order[seen] = int32_t(i);
      std::memcpy(keys + seen++, depths + i, sizeof(float));
    }
  sort_by_depth(order, keys, order2, keys2, seen);
  std::fill(tile_start, tile_start + tx * ty + 1, 0);
  auto each_tile = [&](auto&& visit) {
    for (int64_t k = 0; k < seen; k++) {
      const int32_t i = order[k];
      const Box b = tiles_of(means2d + 2 * i, radii + 2 * i, tx, ty);
      int64_t slot = first[i];
      for (int y = b.y0; y < b.y1; y++)
        for (int x = b.x0; x < b.x1; x++) visit(y * tx + x, i, int32_t(slot++));
    }
  };
  each_tile([&](int tile, int32_t, int32_t) { tile_start[tile + 1]++; });
  for (int t = 0; t < tx * ty; t++) tile_start[t + 1] += tile_start[t];
  each_tile([&](int tile, int32_t i, int32_t slot) {
    const int32_t at = tile_start[tile]++;
    entry_gaussian[at] = i, entry_slot[at] = slot;
  });
  for (int t = tx * ty; t > 0; t--) tile_start[t] = tile_start[t - 1];  // undo the running ends
  tile_start[0] = 0;
}

}  // extern "C"
