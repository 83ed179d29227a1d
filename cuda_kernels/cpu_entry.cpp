// Gaussians to splats on the CPU, and back. As everywhere behind these C functions: raw pointers and integers, arrays
// dense, row-major and float unless said otherwise, all memory the caller's, and every sum in an order that does not
// depend on the number of threads.
//
// Order of calls for a view: lf_project, lf_count_tiles, lf_fill_tiles, lf_pack, lf_blend; backward:
// lf_blend_backward, lf_project_backward.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu_threads.h"
#include "gaussian_math.cuh"

using namespace langfield;

namespace {

constexpr int BLOCK = 1024;  // Gaussians per unit of work, so that sums over blocks never change

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

}  // extern "C"
