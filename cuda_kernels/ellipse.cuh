// Which tiles a splat touches: those with a pixel centre where its alpha can reach ALPHA_CUT, which is an ellipse.
// For g++ and for nvcc. Thin Gaussians lose all digits of a c - b^2, so the ellipse is described by its half height
// Y, taken from the covariance, and x - x0 = -(b / a) dy +- h sqrt(1 - dy^2 / Y^2) with h^2 = 2 reach / a.
#pragma once
#include <cstdint>

#include "gaussian_math.cuh"

namespace langfield {

// What 0.5 a dx^2 + b dx dy + 0.5 c dy^2 may be at most for alpha to reach ALPHA_CUT; a little more for rounding.
LF_FN float reach_of(float opacity) { return opacity > 0 ? logf(opacity / ALPHA_CUT) + 1e-3f : 0; }

// Half the ellipse's height in pixels, never too small: the whole pixels projection gave, or better where possible.
LF_FN float half_rows_of(const float* conic, float reach, int32_t radius) {
  const float whole = float(radius) + 0.01f, ac = conic[0] * conic[2], det = ac - conic[1] * conic[1];
  if (!(det > 1e-3f * ac)) return whole;
  const float rows = sqrtf(2 * reach * conic[0] / det) * 1.001f + 0.01f;
  return rows < whole ? rows : whole;
}

struct Ellipse {
  float x, y;         // centre
  float shift, half;  // b / a times rows; half width at the centre's row
  float rows, turn;   // half height; where it is widest, as a part of rows: right at turn, left at -turn
  float margin;       // pixels
  Box box;            // tiles
  bool whole;         // the box has to do: it is one tile, or half extents were cut to MAX_RADIUS
};

LF_FN Ellipse ellipse_of(const float* mean2d, const float* conic, float opacity, const int32_t* radius, int tiles_x,
                         int tiles_y) {
  Ellipse o = {};
  o.box = tiles_of(mean2d, radius, tiles_x, tiles_y);
  o.whole = radius[0] >= int(MAX_RADIUS) || radius[1] >= int(MAX_RADIUS) ||
            (o.box.x1 - o.box.x0) * int64_t(o.box.y1 - o.box.y0) <= 1;
  if (o.whole) return o;
  const float reach = reach_of(opacity);
  o.x = mean2d[0], o.y = mean2d[1], o.rows = half_rows_of(conic, reach, radius[1]);
  o.half = sqrtf(2 * reach / conic[0]), o.shift = conic[1] / conic[0] * o.rows;
  const float q = o.shift / o.half;
  o.turn = -q / sqrtf(1 + q * q);
  o.margin = 0.01f + 1e-6f * float(radius[0]);
  return o;
}

struct Columns {
  int x0, x1;  // tiles, end exclusive
};

// The tiles of one row of tiles that the ellipse touches.
LF_FN Columns tiles_in_row(const Ellipse& e, int row) {
  if (e.whole) return {e.box.x0, e.box.x1};
  const float above = (row * TILE + 0.5f - e.y) / e.rows, below = (row * TILE + TILE - 0.5f - e.y) / e.rows;
  if (above > 1 || below < -1) return {0, 0};
  const float u0 = clampf(above, -1, 1), u1 = clampf(below, -1, 1);
  const float right = clampf(e.turn, u0, u1), left = clampf(-e.turn, u0, u1);
  const float end = e.x - e.shift * right + e.half * sqrtf(1 - right * right) + e.margin;
  const float begin = e.x - e.shift * left - e.half * sqrtf(1 - left * left) - e.margin;
  const float first = ceilf(begin - 0.5f), last = floorf(end - 0.5f);  // pixels; not a number: the box decides
  const float low = float(e.box.x0 * TILE), high = float(e.box.x1 * TILE - 1);
  if (first > last || first > high || last < low) return {0, 0};
  return {int(first > low ? first : low) / TILE, int(last < high ? last : high) / TILE + 1};
}

LF_FN bool touches_tile(const Ellipse& e, int column, int row) {
  const Columns c = tiles_in_row(e, row);
  return row >= e.box.y0 && row < e.box.y1 && column >= c.x0 && column < c.x1;
}

}  // namespace langfield
