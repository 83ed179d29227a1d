// Small kernels that each use one thing of CUDA, some of them wrongly: what the emulator's own tests run.
#include <cstdint>

extern "C" __global__ void reverse_blocks(const float* in, float* out, int64_t n) {
  __shared__ float held[256];
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  held[threadIdx.x] = i < n ? in[i] : 0;
  __syncthreads();
  if (i < n) out[i] = held[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void forgot_barrier(const float* in, float* out, int64_t n) {
  __shared__ float held[256];
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  held[threadIdx.x] = i < n ? in[i] : 0;
  if (i < n) out[i] = held[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void warp_words(const int* in, int* out, int64_t n) {
  const unsigned all = 0xffffffffu;
  const int i = threadIdx.x, v = in[i];
  int sum = v;
  for (int step = 16; step > 0; step >>= 1) sum += __shfl_xor_sync(all, sum, step);
  out[i] = sum;
  out[n + i] = __shfl_sync(all, v, 3);
  out[2 * n + i] = __shfl_up_sync(all, v, 1);
  out[3 * n + i] = __shfl_down_sync(all, v, 2, 8);
  out[4 * n + i] = static_cast<int>(__ballot_sync(all, v & 1));
  out[5 * n + i] = __any_sync(all, v == 7) * 2 + __all_sync(all, v >= 0);
  out[6 * n + i] = static_cast<int>(__match_any_sync(all, v & 3));
  __syncwarp();
}

extern "C" __global__ void half_warps(const int* in, int* out) {
  const unsigned mine = threadIdx.x & 1 ? 0xaaaaaaaau : 0x55555555u;
  int v = in[threadIdx.x];
  if (threadIdx.x & 1) v += 1000;
  for (int step = 2; step < 32; step <<= 1) v = max(v, __shfl_xor_sync(mine, v, step));
  out[threadIdx.x] = v;
}

extern "C" __global__ void count_votes(const int* in, int* out, int64_t n) {
  const int i = threadIdx.x;
  out[i] = __syncthreads_count(in[i] > 0);
  out[n + i] = __syncthreads_and(in[i] > 0);
  out[2 * n + i] = __syncthreads_or(in[i] > 0);
}

extern "C" __global__ void histogram(const int* in, int* counts, float* sum, int* largest, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(&counts[in[i]], 1);
  atomicAdd(sum, 0.5f);
  atomicMax(largest, in[i]);
}

extern "C" __global__ void lost_update(int* counter) { *counter = *counter + 1; }

extern "C" __global__ void unordered_start(int* out) {
  __shared__ int most;
  if (threadIdx.x == 0) most = 0;
  atomicMax(&most, static_cast<int>(threadIdx.x));
  __syncthreads();
  if (threadIdx.x == 0) out[0] = most;
}

extern "C" __global__ void leave_early(const float* in, float* out, int64_t n) {
  __shared__ float held[64];
  if (threadIdx.x >= n) return;
  held[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = held[n - 1 - threadIdx.x];
}

extern "C" __global__ void two_barriers(int* out) {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}

extern "C" __global__ void half_at_barrier(int* out) {
  if (threadIdx.x < 16) __syncthreads();
  else __syncwarp();
  out[threadIdx.x] = 1;
}

extern "C" __global__ void wrong_mask(int* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
  else __syncthreads();
}

extern "C" __global__ void unwritten_shared(float* out) {
  __shared__ float held[32];
  if (blockIdx.x > 0) held[threadIdx.x] = 1;  // never; but g++ takes what nobody writes for zero
  out[threadIdx.x] = held[threadIdx.x];
}

extern "C" __global__ void where_am_i(int* out) {
  const int64_t block = (int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int64_t thread = (int64_t(threadIdx.z) * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * (blockDim.x * blockDim.y * blockDim.z) + thread] = static_cast<int>(block * 1000 + thread);
}

template <int N>
__device__ float sum_shared(float value) {
  __shared__ float held[N];
  held[threadIdx.x] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < N; i++) sum += held[i];
  return sum;
}

extern "C" __global__ void templates(float* out) { out[threadIdx.x] = sum_shared<32>(1.0f); }

template <int N>
__device__ float next_shared(float value) {
  __shared__ float held[N];
  if (value > 0) held[threadIdx.x] = value;
  return held[(threadIdx.x + 1) % N];
}

extern "C" __global__ void racy_template(float* out, int64_t value) {
  out[threadIdx.x] = next_shared<32>(static_cast<float>(value));
}

extern "C" __global__ void shared_overrun(float* out, int64_t at) {
  __shared__ float held[32];
  __shared__ float other[32];
  other[threadIdx.x] = 1;
  held[threadIdx.x + at] = 2;
  __syncthreads();
  out[threadIdx.x] = other[threadIdx.x] + held[threadIdx.x];
}

extern "C" __global__ void global_overrun(float* out, int64_t n) { out[threadIdx.x + n] = 1; }

extern "C" __global__ void blocks_collide(float* out) { out[threadIdx.x] = static_cast<float>(blockIdx.x); }

extern "C" __global__ void warp_private(float* out) {
  __shared__ float held[64];
  const int partner = threadIdx.x ^ 1;
  held[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncwarp();
  out[threadIdx.x] = held[partner];
}
