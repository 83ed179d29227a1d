// Splats side by side for the walk over tiles, and their gradients taken apart again. One thread a Gaussian.
#include "cuda_common.cuh"
#include "ellipse.cuh"

using namespace langfield;

// packed: float [n, 12], 16 bytes aligned. Reads 40 bytes of a Gaussian, writes 48; later each (Gaussian, tile) pair
// reads two sectors of memory instead of six.
extern "C" __global__ void __launch_bounds__(256)
    pack_splats(const float* means2d, const float* conics, const float* opacities, const float* colours,
                const float* depths, int64_t n, float* packed) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float4* to = reinterpret_cast<float4*>(packed) + PACKED * i;
  to[0] = make_float4(means2d[2 * i], means2d[2 * i + 1], conics[3 * i], conics[3 * i + 1]);
  to[1] = make_float4(conics[3 * i + 2], opacities[i], reach_of(opacities[i]), 0);
  to[2] = make_float4(colours[3 * i], colours[3 * i + 1], colours[3 * i + 2], depths[i]);
}

// sums: float [n, 12] as blend_backward_* adds them up: mean2d 2, conic 3, opacity, colour 3, depth.
extern "C" __global__ void __launch_bounds__(256)
    unpack_gradients(const float* sums, int64_t n, float* v_means2d, float* v_conics, float* v_opacities,
                     float* v_colours, float* v_depths) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float4* from = reinterpret_cast<const float4*>(sums) + PACKED * i;
  const float4 p = from[0], q = from[1], r = from[2];
  v_means2d[2 * i] = p.x, v_means2d[2 * i + 1] = p.y;
  v_conics[3 * i] = p.z, v_conics[3 * i + 1] = p.w, v_conics[3 * i + 2] = q.x;
  v_opacities[i] = q.y;
  v_colours[3 * i] = q.z, v_colours[3 * i + 1] = q.w, v_colours[3 * i + 2] = r.x;
  v_depths[i] = r.y;
}
