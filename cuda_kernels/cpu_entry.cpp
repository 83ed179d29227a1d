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
    const Gaussian g = {means + 3 * i, quats + 4 * i, log_scales + 3 * i, logits[i], sh ? sh + i * k_sh * 3 : nullptr,
                        sh ? int(degree) : -1};
    if (!draw_shape(g, c, o) || !draw_colour(g, centre, o.colour)) o = Drawn{};
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
  for_each_unit(threads, blocks, [&](int64_t b) {
    double* sum = partial + 12 * b;
    std::fill(sum, sum + 12, 0.0);
    for (int64_t i = b * BLOCK; i < std::min(n, (b + 1) * BLOCK); i++) {
      GaussianGradient v = {};
      float* own_v_sh = sh ? v_sh + i * k_sh * 3 : nullptr;
      if (sh) std::fill(own_v_sh, own_v_sh + k_sh * 3, 0.0f);
      if (radii[2 * i] > 0) {
        const Gaussian g = {means + 3 * i, quats + 4 * i, log_scales + 3 * i, logits[i],
                            sh ? sh + i * k_sh * 3 : nullptr, sh ? int(degree) : -1};
        const DrawnGradient in = {v_means2d + 2 * i, v_conics + 3 * i, v_colours + 3 * i, v_depths[i], v_opacities[i]};
        draw_backward(g, c, centre, in, v, own_v_sh, sum);
      }
      std::memcpy(v_means + 3 * i, v.mean, sizeof v.mean), std::memcpy(v_quats + 4 * i, v.quat, sizeof v.quat);
      std::memcpy(v_log_scales + 3 * i, v.log_scale, sizeof v.log_scale), v_logits[i] = v.logit;
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
