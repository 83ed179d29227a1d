// Work shared among threads without a pool: they are started, take units one by one, and end. OpenMP's own threads
// spin while they wait, which on a busy or shared machine takes the time of those that work (five times slower was
// measured); starting a thread costs some tens of microseconds.
#pragma once
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace langfield {

// Call work(take) in each thread; take() gives the next unit, or -1 when none is left. Units must not share results.
template <typename Work>
void share(int64_t threads, int64_t units, const Work& work) {
  std::atomic<int64_t> next{0};
  const auto take = [&next, units] {
    const int64_t unit = next.fetch_add(1, std::memory_order_relaxed);
    return unit < units ? unit : -1;
  };
  std::vector<std::thread> others;
  try {
    for (int64_t i = 1; i < threads && i < units; i++) others.emplace_back([&work, &take] { work(take); });
  } catch (const std::system_error&) {  // no more threads to be had: those that are there do the work
  }
  work(take);
  for (std::thread& other : others) other.join();
}

// Call each(unit) for every unit.
template <typename Each>
void for_each_unit(int64_t threads, int64_t units, const Each& each) {
  share(threads, units, [&each](const auto& take) {
    for (int64_t unit = take(); unit >= 0; unit = take()) each(unit);
  });
}

// Call each(i) for i from 0 to n, in blocks that one thread works through.
template <typename Each>
void for_each_in_blocks(int64_t threads, int64_t n, int64_t block, const Each& each) {
  for_each_unit(threads, (n + block - 1) / block, [&](int64_t b) {
    for (int64_t i = b * block; i < n && i < (b + 1) * block; i++) each(i);
  });
}

}  // namespace langfield
