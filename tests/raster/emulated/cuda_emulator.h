// The words of CUDA that our kernels use, for g++: the .cu files are compiled with this header put in front.
//
// Each CUDA thread is a fiber (emulator.cpp), blocks run one after another, so __shared__ can be static memory and
// an atomic operation a plain one. A switch happens only where threads wait for each other. What CUDA leaves
// undefined (a shuffle from a lane that takes no part, shared memory before it is written) reads as all ones: NaN.
#pragma once
#include <math.h>

#include <algorithm>
#include <cassert>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static  // shared.ld gathers all of it; kernels have no other writable memory of their own
#define LF_RAW __attribute__((no_sanitize("thread", "undefined")))

#define LF_VECTORS(T, name)                                                                            \
  struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                   \
  struct name##3 { T x, y, z; };                                                                       \
  struct alignas(sizeof(T) == 8 ? 16 : 4 * sizeof(T)) name##4 { T x, y, z, w; };                       \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                           \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                   \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
LF_VECTORS(float, float)
LF_VECTORS(double, double)
LF_VECTORS(int, int)
LF_VECTORS(unsigned, uint)
LF_VECTORS(short, short)
LF_VECTORS(unsigned short, ushort)
LF_VECTORS(signed char, char)
LF_VECTORS(unsigned char, uchar)
LF_VECTORS(long long, longlong)
#undef LF_VECTORS
using dim3 = uint3;

namespace emulator {
#pragma GCC visibility push(hidden)
enum Op { SYNC, SHUFFLE, BALLOT, ANY, ALL, MATCH_ANY };

extern uint3 thread_index, block_index, block_size, grid_size;
int block_barrier(int predicate, int combine, const char* file, int line);  // combine: 0 count, 1 and, 2 or
uint64_t warp_collective(Op op, unsigned mask, uint64_t value, int source);
int lane();
void atomic_access(const void* address, int bytes);
#pragma GCC visibility pop

template <class T>
struct Same { using type = T; };
template <class T>
using Given = typename Same<T>::type;  // an argument that does not take part in deduction

template <class To, class From>
LF_RAW inline To bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To out;
  memcpy(&out, &value, sizeof out);
  return out;
}

template <class T>
LF_RAW inline T exchange(unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= 8);
  uint64_t word = 0;
  memcpy(&word, &value, sizeof value);
  word = warp_collective(SHUFFLE, mask, word, source);
  memcpy(&value, &word, sizeof value);
  return value;
}

template <class T, class F>
LF_RAW inline T atomically(T* address, F change) {
  atomic_access(address, sizeof(T));
  const T old = *address;
  *address = change(old);
  return old;
}
}  // namespace emulator

static const int warpSize = 32;
#define threadIdx (emulator::thread_index)
#define blockIdx (emulator::block_index)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)

#define __syncthreads() ((void)emulator::block_barrier(0, 0, __FILE__, __LINE__))
#define __syncthreads_count(p) emulator::block_barrier((p) != 0, 0, __FILE__, __LINE__)
#define __syncthreads_and(p) emulator::block_barrier((p) != 0, 1, __FILE__, __LINE__)
#define __syncthreads_or(p) emulator::block_barrier((p) != 0, 2, __FILE__, __LINE__)
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator::warp_collective(emulator::SYNC, mask, 0, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emulator::exchange(mask, value, (emulator::lane() & ~(width - 1)) + (source & (width - 1)));
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int at = emulator::lane(), from = at - static_cast<int>(delta);
  return emulator::exchange(mask, value, from < (at & ~(width - 1)) ? at : from);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int at = emulator::lane(), within = (at & (width - 1)) + static_cast<int>(delta);
  return emulator::exchange(mask, value, within >= width ? at : at + static_cast<int>(delta));
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const int at = emulator::lane(), from = at ^ lanes;
  return emulator::exchange(mask, value, from > (at | (width - 1)) ? at : from);
}
inline unsigned __ballot_sync(unsigned mask, int p) {
  return static_cast<unsigned>(emulator::warp_collective(emulator::BALLOT, mask, p != 0, 0));
}
inline int __any_sync(unsigned mask, int p) {
  return static_cast<int>(emulator::warp_collective(emulator::ANY, mask, p != 0, 0));
}
inline int __all_sync(unsigned mask, int p) {
  return static_cast<int>(emulator::warp_collective(emulator::ALL, mask, p != 0, 0));
}
template <class T>
inline unsigned __match_any_sync(unsigned mask, T value) {
  uint64_t word = 0;
  memcpy(&word, &value, sizeof value);
  return static_cast<unsigned>(emulator::warp_collective(emulator::MATCH_ANY, mask, word, 0));
}
inline unsigned __activemask() { return 1u << emulator::lane(); }  // the least that CUDA promises

#define LF_ATOMIC(name, result)                                                                         \
  template <class T>                                                                                    \
  LF_RAW inline T name(T* address, emulator::Given<T> value) {                                          \
    return emulator::atomically(address, [value](T old) LF_RAW -> T { return result; });                \
  }
LF_ATOMIC(atomicAdd, old + value)
LF_ATOMIC(atomicSub, old - value)
LF_ATOMIC(atomicMax, old < value ? value : old)
LF_ATOMIC(atomicMin, value < old ? value : old)
LF_ATOMIC(atomicOr, old | value)
LF_ATOMIC(atomicAnd, old& value)
LF_ATOMIC(atomicXor, old ^ value)
LF_ATOMIC(atomicExch, value)
#undef LF_ATOMIC
template <class T>
LF_RAW inline T atomicCAS(T* address, emulator::Given<T> compare, emulator::Given<T> value) {
  return emulator::atomically(address, [=](T old) LF_RAW -> T { return old == compare ? value : old; });
}

template <class T>
inline T __ldg(const T* address) { return *address; }
template <class T>
inline T __ldcs(const T* address) { return *address; }
template <class T>
inline T __ldcg(const T* address) { return *address; }
template <class T>
inline void __stcs(T* address, emulator::Given<T> value) { *address = value; }

template <class A, class B>
inline std::common_type_t<A, B> min(A a, B b) {
  using C = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<C>) return std::fmin(C(a), C(b));  // the number where one is NaN
  return C(b) < C(a) ? C(b) : C(a);
}
template <class A, class B>
inline std::common_type_t<A, B> max(A a, B b) {
  using C = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<C>) return std::fmax(C(a), C(b));
  return C(a) < C(b) ? C(b) : C(a);
}

inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.0f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline float norm3df(float x, float y, float z) { return sqrtf(x * x + y * y + z * z); }
inline int __float2int_rd(float x) { return static_cast<int>(floorf(x)); }
inline int __float2int_ru(float x) { return static_cast<int>(ceilf(x)); }
inline int __float2int_rn(float x) { return static_cast<int>(rintf(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator::bits<unsigned>(x); }
inline int __float_as_int(float x) { return emulator::bits<int>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bits<float>(x); }
inline float __int_as_float(int x) { return emulator::bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bits<double>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline unsigned __brev(unsigned x) {
  unsigned out = 0;
  for (int i = 0; i < 32; i++) out |= ((x >> i) & 1u) << (31 - i);
  return out;
}
