// Products in bfloat16 without dot products for it: multiply-adds in float32.

#pragma once

#include <vector>

#include "../lanes.h"
#include "product.h"

namespace product {
namespace halves {

// To the nearest, ties to even; NaN stays one. The lower 16 bits become 0.
LANES_INLINE uint32_t rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t near = bits + 0x7fff + (bits >> 16 & 1);
  return (x != x ? bits | 0x400000 : near) & 0xffff0000;
}

// Rows are rounded to bfloat16 and kept as float32, so that a multiply-add reads them as they lie.
LANES_INLINE void unfold_row(const float* x, int64_t n, int64_t depth, char* words) {
  auto* bits = reinterpret_cast<uint32_t*>(words);
  for (int64_t i = 0; i < n; ++i) bits[i] = rounded(x[i]);
  std::fill(bits + n, bits + 2 * depth, 0u);
}

// `width` columns of a panel as float32, one row of the matrix behind the other: as they lie in the
// panel, with those of other columns between them, they would fall on a quarter of the cache's sets.
LANES_INLINE void unfold_columns(const Job& j, int64_t column, int64_t width, float* to) {
  auto* bits = reinterpret_cast<uint32_t*>(to);
  const auto* words = reinterpret_cast<const uint32_t*>(j.panel) + column;
  for (int64_t k = 0; k < j.depth; ++k, words += kPanel, bits += 2 * width) {
    for (int64_t c = 0; c < width; ++c) {
      bits[c] = words[c] << 16;
      bits[c + width] = words[c] & 0xffff0000;
    }
  }
}

template <int kLanes, int kTile>
LANES_INLINE void tile(const Job& j, const float* weights, int64_t first, int64_t column) {
  constexpr int64_t kWidth = kLanes * lanes::kParts;
  const auto* rows = reinterpret_cast<const float*>(j.rows + first * j.row_bytes);
  const int64_t row = j.row_bytes / static_cast<int64_t>(sizeof(float));
  float sums[kTile * kWidth];
  lanes::multiply<kLanes, kTile>(rows, row, weights, kWidth, 2 * j.depth, sums);
  const int64_t columns = std::min(kWidth, j.columns - column);
  for (int64_t r = 0; r < kTile; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      portable::finish(j, first + r, column + c, sums[r * kWidth + c]);
    }
  }
}

template <int kLanes>
LANES_INLINE void multiply(const Job& j) {
  constexpr int64_t kWidth = kLanes * lanes::kParts;
  static thread_local std::vector<float> weights;
  weights.resize(std::max(weights.size(), static_cast<size_t>(2 * j.depth * kWidth)));
  const int64_t tiles = j.n_rows / lanes::kRows + j.n_rows % lanes::kRows;
  Ahead ahead(j, tiles * ((j.columns + kWidth - 1) / kWidth));
  for (int64_t column = 0; column < j.columns; column += kWidth) {
    unfold_columns(j, column, kWidth, weights.data());
    int64_t first = 0;
    for (; first + lanes::kRows <= j.n_rows; first += lanes::kRows) {
      ahead.step();
      tile<kLanes, lanes::kRows>(j, weights.data(), first, column);
    }
    for (; first < j.n_rows; ++first) tile<kLanes, 1>(j, weights.data(), first, column);
  }
}

inline void run(const Job& j) { multiply<4>(j); }

inline void unfold(const float* x, int64_t n, int64_t depth, char* words, float*, int32_t*) {
  unfold_row(x, n, depth, words);
}

#ifdef NATIVE_X86
__attribute__((target("avx2,fma"))) inline void run_avx2(const Job& j) { multiply<8>(j); }

__attribute__((target("avx2,fma"))) inline void unfold_avx2(const float* x, int64_t n,
                                                            int64_t depth, char* words, float*,
                                                            int32_t*) {
  unfold_row(x, n, depth, words);
}
#endif

}  // namespace halves
}  // namespace product
