// What the emulator knows about the block that runs.
#pragma once
#include "cuda_emulator.h"

// The linker gives these where any kernel has __shared__ memory.
extern "C" char __start_lf_shared __attribute__((weak, visibility("hidden")));
extern "C" char __stop_lf_shared __attribute__((weak, visibility("hidden")));

namespace emulator {
#pragma GCC visibility push(hidden)

constexpr int MAX_THREADS = 1024;

struct Pending {  // what a lane waits for
  Op op;
  unsigned mask;
  uint64_t value;
  int source;
  uint64_t result;
};

struct State {
  uint64_t seed;
  const int64_t* tensors;  // pointer, bytes of every argument
  int64_t arguments;
  uint32_t block, launch = 0;
  bool failed;
  int current, living, warps;
  unsigned alive[32], ready[32], in_barrier[32], waiting[32], ready_warps;
  Pending pending[32][32];
  int at_barrier, votes, combine, result, site_line;
  const char* site_file;
  uint64_t clock = 0, block_stamp;  // moments, for the race check

  void begin_launch(uint64_t with_seed, const int64_t* memory, int64_t count) {
    seed = with_seed, tensors = memory, arguments = count, failed = false, launch++;
  }
  void begin_block(int threads) {
    current = 0, living = threads, warps = (threads + 31) / 32, ready_warps = 0;
    at_barrier = votes = 0, site_file = nullptr;
    block_stamp = ++clock;
    for (int w = 0; w < 32; w++) {
      const int lanes = std::min(32, std::max(0, threads - 32 * w));
      alive[w] = ready[w] = lanes == 32 ? ~0u : (1u << lanes) - 1;
      in_barrier[w] = waiting[w] = 0;
      if (lanes) ready_warps |= 1u << w;
    }
  }
};
extern State state;

[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
bool on_stack(uintptr_t address);
void maybe_yield();
void order_lanes(int warp, unsigned lanes);  // checked build: __syncwarp orders these lanes' memory accesses

#pragma GCC visibility pop
}  // namespace emulator
