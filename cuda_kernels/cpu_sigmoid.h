// The logistic function of eight numbers at once.
#pragma once
#include "cpu_tile.h"

namespace langfield {

inline F8 sigmoid(F8 x) {
  F8 power = x * all(-LOG2_E);
  power = pick(power < all(120), power, all(120)), power = pick(power > all(-120), power, all(-120));
  return all(1) / (all(1) + power_of_two(power));
}

}  // namespace langfield
