// Runs the blocks of one launch, each thread a fiber on this one operating-system thread.
//
// A fiber runs until it waits at a barrier or a warp operation, or leaves. Which one runs next is the lowest ready
// thread, or with a seed a random one, so that a kernel that lacks a barrier gives different results with different
// seeds. A wait that can never end fails the launch with a sentence instead of hanging.
#include <sys/mman.h>

#include <cstdarg>
#include <vector>

#include "emulator_state.h"

namespace emulator {

uint3 thread_index, block_index, block_size, grid_size;
State state;

namespace {

constexpr size_t STACK_BYTES = 64 * 1024;
constexpr uint64_t CANARY = 0x5afe57ac4b077035ull;  // at the far end of every stack
constexpr int MAX_ARGUMENTS = 48;
using Kernel = void (*)(...);

Kernel kernel;
int64_t arguments[MAX_ARGUMENTS];
char* stacks;
void* stack_pointer[MAX_THREADS];
void* main_pointer;
char* message;
int64_t message_bytes;
uint64_t random_state;

}  // namespace

extern "C" __attribute__((visibility("hidden"))) void lf_switch(void** save, void* load);
asm(R"(
.text
.hidden lf_switch
.globl lf_switch
.type lf_switch, @function
lf_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size lf_switch, .-lf_switch
)");

namespace {

unsigned random_bits() {  // splitmix64
  uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return static_cast<unsigned>(z >> 32);
}

int pick_bit(unsigned mask) {  // the lowest bit, or with a seed any
  if (!state.seed) return __builtin_ctz(mask);
  const int turn = static_cast<int>(random_bits() & 31);
  const unsigned turned = mask >> turn | (turn ? mask << (32 - turn) : 0);
  return (__builtin_ctz(turned) + turn) & 31;
}

// Gives a thread that can run, or -1. Stays with the warp that runs, mostly: its stacks are warm.
int pick() {
  if (!state.ready_warps) return -1;
  int warp = state.current >> 5;
  const bool stay = state.ready_warps >> warp & 1;
  if (!stay || (state.seed && (random_bits() & 7) == 0)) warp = pick_bit(state.ready_warps);
  const int lane = pick_bit(state.ready[warp]);
  state.ready[warp] &= ~(1u << lane);
  if (!state.ready[warp]) state.ready_warps &= ~(1u << warp);
  return warp * 32 + lane;
}

void make_ready(int warp, unsigned lanes) {
  if (!lanes) return;
  state.ready[warp] |= lanes;
  state.ready_warps |= 1u << warp;
}

void become(int thread) {
  state.current = thread;
  const unsigned t = static_cast<unsigned>(thread);
  thread_index = {t % block_size.x, t / block_size.x % block_size.y, t / (block_size.x * block_size.y)};
}

const char* place(const char* file) {
  const char* slash = strrchr(file, '/');
  return slash ? slash + 1 : file;
}

void report_stuck() {
  for (int warp = 0; warp < state.warps; warp++)
    for (int lane = 0; lane < 32; lane++) {
      const Pending& wait = state.pending[warp][lane];
      if (state.waiting[warp] >> lane & 1)
        fail("thread %d waits for ever in a warp operation with mask %08x: %s", warp * 32 + lane, wait.mask,
             state.at_barrier ? "others of the mask wait in __syncthreads" : "others of the mask never come");
    }
  fail("threads wait for ever");
}

void wait_for_turn() {  // gives the core away; returns when this thread may go on
  const int self = state.current, next = pick();
  if (next < 0) report_stuck();
  if (next == self) return;
  become(next);
  lf_switch(&stack_pointer[self], stack_pointer[next]);
}

void release_barrier() {
  state.result = state.combine == 0 ? state.votes : state.combine == 1 ? state.votes == state.at_barrier : state.votes > 0;
  state.votes = state.at_barrier = 0;
  state.site_file = nullptr;
  state.block_stamp = ++state.clock;
  for (int warp = 0; warp < state.warps; warp++) {
    make_ready(warp, state.in_barrier[warp]);
    state.in_barrier[warp] = 0;
  }
}

uint64_t outcome(const Pending* all, unsigned mask, int lane) {
  const Pending& own = all[lane];
  uint64_t votes = 0, equal = 0;
  for (int i = 0; i < 32; i++)
    if (mask >> i & 1) votes |= uint64_t(all[i].value != 0) << i, equal |= uint64_t(all[i].value == own.value) << i;
  if (own.op == SHUFFLE) {
    const bool there = own.source >= 0 && own.source < 32 && (mask >> own.source & 1);
    return there ? all[own.source].value : ~uint64_t(0);
  }
  if (own.op == BALLOT) return votes;
  if (own.op == ANY) return votes != 0;
  if (own.op == ALL) return votes == mask;
  return own.op == MATCH_ANY ? equal : 0;
}

// Ends the collective of `mask` if all its threads that have not left are there; says whether it ended.
bool complete(int warp, unsigned mask) {
  Pending* all = state.pending[warp];
  const unsigned live = mask & state.alive[warp];
  if (live & ~state.waiting[warp]) return false;
  const Pending& first = all[__builtin_ctz(live)];
  for (int i = 0; i < 32; i++)
    if ((live >> i & 1) && (all[i].mask != mask || all[i].op != first.op))
      fail("lanes of warp %d meet in different warp operations or with different masks (%08x, %08x)", warp, mask,
           all[i].mask);
  if (first.op == SHUFFLE || first.op == MATCH_ANY) {
    for (int i = 0; i < 32; i++)
      if (live >> i & 1) all[i].result = outcome(all, live, i);
  } else {
    const uint64_t shared = outcome(all, live, __builtin_ctz(live));
    for (int i = 0; i < 32; i++) all[i].result = live >> i & 1 ? shared : all[i].result;
  }
  state.waiting[warp] &= ~live;
  if (first.op == SYNC) order_lanes(warp, live);
  make_ready(warp, live);
  return true;
}

void leave() {
  const int warp = state.current >> 5, lane = state.current & 31;
  state.alive[warp] &= ~(1u << lane);
  if (--state.living == 0) lf_switch(&stack_pointer[state.current], main_pointer);
  if (state.at_barrier && state.at_barrier == state.living) release_barrier();
  for (int i = 0; state.waiting[warp] && i < 32; i++)
    if ((state.waiting[warp] >> i & 1) && (state.pending[warp][i].mask >> lane & 1))
      complete(warp, state.pending[warp][i].mask);
  const int self = state.current, next = pick();
  if (next < 0) report_stuck();
  become(next);
  lf_switch(&stack_pointer[self], stack_pointer[next]);
}

template <size_t... I>
void call(std::index_sequence<I...>) {
  // Pointers and 64-bit integers are passed alike, and a function ignores arguments that it does not take.
  reinterpret_cast<void (*)(decltype(int64_t(I))...)>(kernel)(arguments[I]...);
}

void run_thread() {
  call(std::make_index_sequence<MAX_ARGUMENTS>());
  leave();
  __builtin_unreachable();
}

bool run_block(int threads) {
  state.begin_block(threads);
  for (int i = 0; i < threads; i++) {
    *reinterpret_cast<uint64_t*>(stacks + i * STACK_BYTES) = CANARY;
    // Staggered, so that the stacks' busy ends do not all fall into the same sets of the cache.
    uintptr_t* top = reinterpret_cast<uintptr_t*>(stacks + (i + 1) * STACK_BYTES - i % 32 * 320) - 2;
    *--top = 0;  // where run_thread would return to
    *--top = reinterpret_cast<uintptr_t>(&run_thread);
    for (int saved = 0; saved < 6; saved++) *--top = 0;
    stack_pointer[i] = top;
  }
  if (&__start_lf_shared && &__stop_lf_shared)
    memset(&__start_lf_shared, 0xff, static_cast<size_t>(&__stop_lf_shared - &__start_lf_shared));
  const int first = pick();
  become(first);
  lf_switch(&main_pointer, stack_pointer[first]);
  for (int i = 0; i < threads && !state.failed; i++)
    if (*reinterpret_cast<uint64_t*>(stacks + i * STACK_BYTES) != CANARY) {
      snprintf(message, static_cast<size_t>(message_bytes), "thread %d needs more stack than the emulator has", i);
      return false;
    }
  return !state.failed;
}

}  // namespace

void fail(const char* format, ...) {
  char text[400];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  snprintf(message, static_cast<size_t>(message_bytes), "block (%u, %u, %u), thread (%u, %u, %u): %s", block_index.x,
           block_index.y, block_index.z, thread_index.x, thread_index.y, thread_index.z, text);
  state.failed = true;
  void* ignored;
  lf_switch(&ignored, main_pointer);
  __builtin_unreachable();
}

bool on_stack(uintptr_t address) {
  return address - reinterpret_cast<uintptr_t>(stacks) < MAX_THREADS * STACK_BYTES;
}

int lane() { return state.current & 31; }

void maybe_yield() {  // lets another thread run in between, with a seed
  if (!state.seed || (random_bits() & 15)) return;
  make_ready(state.current >> 5, 1u << (state.current & 31));
  wait_for_turn();
}

int block_barrier(int predicate, int combine, const char* file, int line) {
  if (state.site_file && (strcmp(state.site_file, file) != 0 || state.site_line != line))
    fail("threads of one block wait in different __syncthreads: %s line %d and %s line %d", place(state.site_file),
         state.site_line, place(file), line);
  state.site_file = file, state.site_line = line, state.combine = combine;
  state.votes += predicate;
  state.in_barrier[state.current >> 5] |= 1u << (state.current & 31);
  if (++state.at_barrier == state.living) release_barrier();
  wait_for_turn();
  return state.result;
}

uint64_t warp_collective(Op op, unsigned mask, uint64_t value, int source) {
  const int warp = state.current >> 5, own = state.current & 31;
  if (!(mask >> own & 1)) fail("lane %d calls a warp operation with mask %08x, which leaves it out", own, mask);
  Pending& wait = state.pending[warp][own];
  wait = {op, mask, value, source, 0};
  state.waiting[warp] |= 1u << own;
  complete(warp, mask);
  wait_for_turn();
  return wait.result;
}

}  // namespace emulator

// Runs a kernel over a grid; gives 0, or 1 with a sentence in `text`. `tensors`: pointer, bytes of each argument
// that points to memory (0, 0 for others); read by the checked build only. seed 0: threads run in order.
extern "C" __attribute__((visibility("default"))) int lf_emulate(void* function, const int64_t* sizes,
                                                                 const int64_t* given, const int64_t* tensors,
                                                                 int64_t count, uint64_t seed, char* text,
                                                                 int64_t text_bytes) {
  using namespace emulator;
  if (!stacks) {
    void* memory = mmap(nullptr, MAX_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return 2;
    madvise(memory, MAX_THREADS * STACK_BYTES, MADV_HUGEPAGE);  // only for speed
    stacks = static_cast<char*>(memory);
  }
  kernel = reinterpret_cast<Kernel>(function), message = text, message_bytes = text_bytes, random_state = seed;
  memset(arguments, 0, sizeof arguments);
  memcpy(arguments, given, static_cast<size_t>(count) * sizeof(int64_t));
  grid_size = {unsigned(sizes[0]), unsigned(sizes[1]), unsigned(sizes[2])};
  block_size = {unsigned(sizes[3]), unsigned(sizes[4]), unsigned(sizes[5])};
  const uint64_t blocks = uint64_t(sizes[0]) * uint64_t(sizes[1]) * uint64_t(sizes[2]);
  state.begin_launch(seed, tensors, count);
  std::vector<uint64_t> order(blocks);
  for (uint64_t i = 0; i < blocks; i++) order[i] = i;
  for (uint64_t i = blocks; seed && i > 1; i--) std::swap(order[i - 1], order[random_bits() % i]);
  for (const uint64_t block : order) {
    block_index = {unsigned(block % grid_size.x), unsigned(block / grid_size.x % grid_size.y),
                   unsigned(block / grid_size.x / grid_size.y)};
    state.block = static_cast<uint32_t>(block);
    if (!run_block(static_cast<int>(block_size.x * block_size.y * block_size.z))) return 1;
  }
  return 0;
}
