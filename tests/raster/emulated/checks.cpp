// The checked build: every memory access of a kernel is looked at.
//
// The kernels are compiled with g++'s thread and undefined-behaviour instrumentation, and the calls that it inserts
// lead here instead of to its own libraries. Found are: accesses outside the launch's tensors, indices outside an
// array, misaligned and undefined arithmetic, and races: two accesses to one place, at least one of them a plain
// write, by threads that neither __syncthreads nor __syncwarp orders (CUDA's shuffles and votes do not order memory).
#include <link.h>

#include <unordered_map>

#include "emulator_state.h"

namespace emulator {
namespace {

struct Access {
  uintptr_t code = 0;
  uint64_t moment = 0;
  uint32_t block = 0;
  int thread = -1;
  uint8_t bytes = 0;  // of the four that a cell covers
  bool atomic = false;
};

struct Cell {
  Access write, atomic, read[2];
};

std::unordered_map<uintptr_t, Cell> cells;
uint32_t cells_of_launch;
uint64_t met[32][32][32];  // when two lanes of a warp last met in __syncwarp
uintptr_t image_first, image_end, image_base;

int note_image(dl_phdr_info* info, size_t, void*) {
  const uintptr_t here = reinterpret_cast<uintptr_t>(&state);
  uintptr_t first = ~uintptr_t(0), end = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    first = std::min<uintptr_t>(first, info->dlpi_addr + part.p_vaddr);
    end = std::max<uintptr_t>(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
  }
  if (here < first || here >= end) return 0;
  image_first = first, image_end = end, image_base = info->dlpi_addr;
  return 1;
}

int tensor_at(uintptr_t address, int bytes) {
  for (int i = 0; i < state.arguments; i++) {
    const uintptr_t start = static_cast<uintptr_t>(state.tensors[2 * i]);
    const uintptr_t size = static_cast<uintptr_t>(state.tensors[2 * i + 1]);
    if (address - start < size && address + static_cast<uintptr_t>(bytes) <= start + size) return i;
  }
  return -1;
}

bool is_shared(uintptr_t address) {
  return address >= reinterpret_cast<uintptr_t>(&__start_lf_shared) &&
         address < reinterpret_cast<uintptr_t>(&__stop_lf_shared);
}

bool ordered(const Access& before) {
  if (before.thread < 0) return true;
  if (before.block != state.block) return false;
  const int a = before.thread, b = state.current;
  if (a == b || state.block_stamp > before.moment) return true;
  return a >> 5 == b >> 5 && met[a >> 5][a & 31][b & 31] > before.moment;
}

void compare(const Access& before, const char* did, const Access& now, bool writes, uintptr_t address) {
  const bool shared = is_shared(address);
  if (!(before.bytes & now.bytes) || (before.atomic && now.atomic) || ordered(before)) return;
  if (shared && before.block != state.block) return;  // a block's shared memory is its own
  char what[40] = "shared memory";
  if (!shared) snprintf(what, sizeof what, "argument %d", tensor_at(address, 1));
  fail("race on %s: thread %d of block %u %s it at @%lx@, thread %d of block %u %s it at @%lx@, and nothing orders them",
       what, before.thread, before.block, did, static_cast<unsigned long>(before.code - image_base), now.thread,
       now.block, writes ? "writes" : "reads", static_cast<unsigned long>(now.code - image_base));
}

void look(uintptr_t address, int bytes, bool writes, bool atomic, uintptr_t code) {
  if (on_stack(address)) return;
  if (!image_end) dl_iterate_phdr(note_image, nullptr);
  const bool shared = is_shared(address);
  if (!shared && address >= image_first && address < image_end) return;  // constants, the emulator's own
  if (!shared && tensor_at(address, bytes) < 0)
    fail("%s %d bytes outside every tensor of the launch at @%lx@", writes ? "writes" : "reads", bytes,
         static_cast<unsigned long>(code - image_base));
  if (cells_of_launch != state.launch) cells.clear(), cells_of_launch = state.launch;
  for (uintptr_t at = address & ~uintptr_t(3); at < address + static_cast<uintptr_t>(bytes); at += 4) {
    uint8_t touched = 0;
    for (uintptr_t i = 0; i < 4; i++)
      if (at + i >= address && at + i < address + static_cast<uintptr_t>(bytes)) touched |= static_cast<uint8_t>(1u << i);
    const Access now = {code, state.clock, state.block, state.current, touched, atomic};
    Cell& cell = cells[at];
    compare(cell.write, "wrote", now, writes, at);
    compare(cell.atomic, "changed", now, writes, at);
    for (const Access& read : cell.read)
      if (writes) compare(read, "read", now, writes, at);
    if (writes) {
      (atomic ? cell.atomic : cell.write) = now;
    } else {
      if (cell.read[0].thread != now.thread || cell.read[0].block != now.block) cell.read[1] = cell.read[0];
      cell.read[0] = now;
    }
  }
}

}  // namespace

void atomic_access(const void* address, int bytes) {
  maybe_yield();
  look(reinterpret_cast<uintptr_t>(address), bytes, true, true,
       reinterpret_cast<uintptr_t>(__builtin_return_address(0)) - 1);
}

void order_lanes(int warp, unsigned lanes) {
  const uint64_t now = ++state.clock;
  for (int a = 0; a < 32; a++)
    for (int b = 0; b < 32; b++)
      if ((lanes >> a & 1) && (lanes >> b & 1)) met[warp][a][b] = now;
}

}  // namespace emulator

#pragma GCC visibility push(hidden)
extern "C" {
#define LF_CODE (reinterpret_cast<uintptr_t>(__builtin_return_address(0)) - 1)
#define LF_HOOK(bytes)                                                                                           \
  void __tsan_read##bytes(void* p) { emulator::look(uintptr_t(p), bytes, false, false, LF_CODE); }              \
  void __tsan_write##bytes(void* p) { emulator::look(uintptr_t(p), bytes, true, false, LF_CODE); }              \
  void __tsan_unaligned_read##bytes(void* p) { emulator::look(uintptr_t(p), bytes, false, false, LF_CODE); }    \
  void __tsan_unaligned_write##bytes(void* p) { emulator::look(uintptr_t(p), bytes, true, false, LF_CODE); }    \
  void __tsan_volatile_read##bytes(void* p) { emulator::look(uintptr_t(p), bytes, false, false, LF_CODE); }     \
  void __tsan_volatile_write##bytes(void* p) { emulator::look(uintptr_t(p), bytes, true, false, LF_CODE); }
LF_HOOK(1)
LF_HOOK(2)
LF_HOOK(4)
LF_HOOK(8)
LF_HOOK(16)
void __tsan_read_range(void* p, size_t n) { emulator::look(uintptr_t(p), int(n), false, false, LF_CODE); }
void __tsan_write_range(void* p, size_t n) { emulator::look(uintptr_t(p), int(n), true, false, LF_CODE); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

struct Place {
  const char* file;
  uint32_t line, column;
};
#define LF_UNDEFINED(name, what)                                                                        \
  void __ubsan_handle_##name(const Place* at, ...) {                                                    \
    const char* slash = strrchr(at->file, '/');                                                         \
    emulator::fail("%s at %s:%u", what, slash ? slash + 1 : at->file, at->line);                       \
  }
LF_UNDEFINED(out_of_bounds, "index outside its array")
LF_UNDEFINED(type_mismatch_v1, "null or misaligned pointer, or one past its object,")
LF_UNDEFINED(add_overflow, "signed overflow of +")
LF_UNDEFINED(sub_overflow, "signed overflow of -")
LF_UNDEFINED(mul_overflow, "signed overflow of *")
LF_UNDEFINED(negate_overflow, "signed overflow of negation")
LF_UNDEFINED(divrem_overflow, "integer division by zero or overflow")
LF_UNDEFINED(shift_out_of_bounds, "shift by too much")
LF_UNDEFINED(float_cast_overflow, "float outside the integer's range")
LF_UNDEFINED(load_invalid_value, "bool or enum with another value")
LF_UNDEFINED(pointer_overflow, "pointer overflow")
LF_UNDEFINED(builtin_unreachable, "unreachable place reached")
LF_UNDEFINED(missing_return, "function ends without a value")
LF_UNDEFINED(nonnull_arg, "null where a value is needed")
LF_UNDEFINED(invalid_builtin, "count of bits of zero")
}
#pragma GCC visibility pop
