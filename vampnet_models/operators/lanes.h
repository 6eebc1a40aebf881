// Products in float32 in vectors of any length: compilers make them in whatever registers the
// function around them may use.

#pragma once

#include <cstdint>
#include <cstring>

#define LANES_INLINE __attribute__((always_inline)) inline

namespace lanes {

constexpr int kRows = 4;   // of a tile: more do not fit in 16 registers beside what they meet
constexpr int kParts = 2;  // registers of columns of a tile

// sums[kTile][columns] of rows, `row` floats from one to the next, with a matrix of `depth` rows,
// `step` floats from one to the next; there are kParts * kLanes columns.
template <int kLanes, int kTile>
LANES_INLINE void multiply(const float* rows, int64_t row, const float* matrix, int64_t step,
                           int64_t depth, float* sums) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
  Vector found[kTile][kParts] = {};
  for (int64_t k = 0; k < depth; ++k, ++rows, matrix += step) {
    Vector values[kParts];
#pragma GCC unroll 2
    for (int i = 0; i < kParts; ++i) {
      values[i] = *reinterpret_cast<const Vector*>(matrix + i * kLanes);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kTile; ++r) {
#pragma GCC unroll 2
      for (int i = 0; i < kParts; ++i) found[r][i] += values[i] * rows[r * row];
    }
  }
  std::memcpy(sums, found, sizeof found);
}

}  // namespace lanes
