// Gaussians to splats and back, one thread a Gaussian; the arithmetic is gaussian_math.cuh's.
#include "cuda_common.cuh"

using namespace langfield;

namespace {

constexpr int THREADS = 128, SH = 48, CAMERA = 12;  // SH: numbers of degree 3; CAMERA: gradients by W and t

// Rows of 4 and 16 coefficients are whole float4: one request for 16 bytes of each lane instead of four.
__device__ __forceinline__ void load_sh(const float* from, int64_t k_sh, float to[SH]) {
  const int64_t many = 3 * k_sh;
#pragma unroll
  for (int q = 0; q < SH / 4; q++) {
    if (many % 4 == 0 && 4 * q < many) {
      const float4 v = reinterpret_cast<const float4*>(from)[q];
      to[4 * q] = v.x, to[4 * q + 1] = v.y, to[4 * q + 2] = v.z, to[4 * q + 3] = v.w;
    } else
#pragma unroll
      for (int c = 4 * q; c < 4 * q + 4; c++) to[c] = c < many ? from[c] : 0;
  }
}

__device__ __forceinline__ void store_sh(const float from[SH], int64_t k_sh, float* to) {
  const int64_t many = 3 * k_sh;
#pragma unroll
  for (int q = 0; q < SH / 4; q++) {
    if (many % 4 == 0 && 4 * q < many)
      reinterpret_cast<float4*>(to)[q] = make_float4(from[4 * q], from[4 * q + 1], from[4 * q + 2], from[4 * q + 3]);
    else
#pragma unroll
      for (int c = 4 * q; c < 4 * q + 4; c++)
        if (c < many) to[c] = from[c];
  }
}

}  // namespace

// means [n, 3], quats [n, 4], log_scales [n, 3], logits [n], sh [n, k_sh, 3] or null, camera: W 9, t 3, fx fy cx cy,
// near, blur. Out: means2d [n, 2], conics [n, 3], depths [n], opacities [n], colours [n, 3], radii int32 [n, 2]; zeros
// where the Gaussian cannot be seen.
extern "C" __global__ void __launch_bounds__(128)
    project_splats(const float* means, const float* quats, const float* log_scales, const float* logits, const float* sh,
                   int64_t n, int64_t k_sh, int64_t degree, const float* camera, int64_t width, int64_t height,
                   float* means2d, float* conics, float* depths, float* opacities, float* colours, int32_t* radii) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const Camera c = camera_from(camera, width, height);
  float centre[3], own_sh[SH];
  camera_centre(c, centre);
  Drawn o = {};
  const Gaussian g = {means + 3 * i, quats + 4 * i, log_scales + 3 * i, logits[i], own_sh, sh ? int(degree) : -1};
  bool seen = draw_shape(g, c, o);
  if (seen && sh) load_sh(sh + i * k_sh * 3, k_sh, own_sh);
  seen = seen && draw_colour(g, centre, o.colour);
  if (!seen) o = Drawn{};
  for (int j = 0; j < 2; j++) means2d[2 * i + j] = o.mean2d[j], radii[2 * i + j] = o.radius[j];
  for (int j = 0; j < 3; j++) conics[3 * i + j] = o.conic[j], colours[3 * i + j] = o.colour[j];
  depths[i] = o.depth, opacities[i] = o.opacity;
}

// partial: float [blocks, 12], the camera's gradient of each block of 128 Gaussians (W 9, t 3), added in a fixed
// order; who calls adds up the rows.
extern "C" __global__ void __launch_bounds__(128)
    project_splats_backward(const float* means, const float* quats, const float* log_scales, const float* logits,
                            const float* sh, int64_t n, int64_t k_sh, int64_t degree, const float* camera,
                            int64_t width, int64_t height, const int32_t* radii, const float* v_means2d,
                            const float* v_conics, const float* v_depths, const float* v_opacities,
                            const float* v_colours, float* v_means, float* v_quats, float* v_log_scales,
                            float* v_logits, float* v_sh, float* partial) {
  __shared__ float sums[THREADS / WARP][CAMERA];
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  float v_camera[CAMERA] = {};
  if (i < n) {
    const Camera c = camera_from(camera, width, height);
    float centre[3], own_sh[SH], own_v_sh[SH] = {};
    camera_centre(c, centre);
    GaussianGradient v = {};
    if (radii[2 * i] > 0) {
      if (sh) load_sh(sh + i * k_sh * 3, k_sh, own_sh);
      const Gaussian g = {means + 3 * i, quats + 4 * i, log_scales + 3 * i, logits[i], own_sh, sh ? int(degree) : -1};
      const DrawnGradient in = {v_means2d + 2 * i, v_conics + 3 * i, v_colours + 3 * i, v_depths[i], v_opacities[i]};
      draw_backward(g, c, centre, in, v, own_v_sh, v_camera);
    }
    for (int j = 0; j < 3; j++) v_means[3 * i + j] = v.mean[j], v_log_scales[3 * i + j] = v.log_scale[j];
    for (int j = 0; j < 4; j++) v_quats[4 * i + j] = v.quat[j];
    v_logits[i] = v.logit;
    if (sh) store_sh(own_v_sh, k_sh, v_sh + i * k_sh * 3);
  }
  const int lane = int(threadIdx.x) % WARP, warp = int(threadIdx.x) / WARP;
#pragma unroll
  for (int j = 0; j < CAMERA; j++) {
    for (int step = WARP / 2; step > 0; step /= 2) v_camera[j] += __shfl_xor_sync(ALL_LANES, v_camera[j], step);
    if (lane == 0) sums[warp][j] = v_camera[j];
  }
  __syncthreads();
  if (threadIdx.x < CAMERA) {
    float total = 0;
    for (int w = 0; w < THREADS / WARP; w++) total += sums[w][threadIdx.x];
    partial[int64_t(CAMERA) * blockIdx.x + threadIdx.x] = total;
  }
}
