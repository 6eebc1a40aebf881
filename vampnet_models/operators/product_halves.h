// Products in bfloat16 without dot products for it: multiply-adds in float32, 4 rows by a few
// registers of columns. Compilers take vectors of any length, in whatever registers the function
// around them may use.

#pragma once

#include <vector>

#include "product.h"

namespace product {
namespace halves {

#define HALVES_INLINE __attribute__((always_inline)) inline

constexpr int64_t kRows = 4;  // of a tile: more do not fit in 16 registers beside what they meet

// To the nearest, ties to even; NaN stays one. The lower 16 bits become 0.
HALVES_INLINE uint32_t rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t near = bits + 0x7fff + (bits >> 16 & 1);
  return (x != x ? bits | 0x400000 : near) & 0xffff0000;
}

// Rows are rounded to bfloat16 and kept as float32, so that a multiply-add reads them as they lie.
HALVES_INLINE void unfold_row(const float* x, int64_t n, int64_t depth, char* words) {
  auto* bits = reinterpret_cast<uint32_t*>(words);
  for (int64_t i = 0; i < n; ++i) bits[i] = rounded(x[i]);
  std::fill(bits + n, bits + 2 * depth, 0u);
}

// `width` columns of a panel as float32, one row of the matrix behind the other: as they lie in the
// panel, with those of other columns between them, they would fall on a quarter of the cache's sets.
HALVES_INLINE void unfold_columns(const Job& j, int64_t column, int64_t width, float* to) {
  auto* bits = reinterpret_cast<uint32_t*>(to);
  const auto* words = reinterpret_cast<const uint32_t*>(j.panel) + column;
  for (int64_t k = 0; k < j.depth; ++k, words += kPanel, bits += 2 * width) {
    for (int64_t c = 0; c < width; ++c) {
      bits[c] = words[c] << 16;
      bits[c + width] = words[c] & 0xffff0000;
    }
  }
}

template <int kLanes, int kTile, int kParts>
HALVES_INLINE void tile(const Job& j, const float* weights, int64_t first, int64_t column) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
  Vector sums[kTile][kParts] = {};
  const auto* rows = reinterpret_cast<const float*>(j.rows + first * j.row_bytes);
  const int64_t row = j.row_bytes / static_cast<int64_t>(sizeof(float));
  for (int64_t k = 0; k < 2 * j.depth; ++k, ++rows, weights += kLanes * kParts) {
    Vector values[kParts];
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) {
      values[i] = *reinterpret_cast<const Vector*>(weights + i * kLanes);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kTile; ++r) {
#pragma GCC unroll 4
      for (int i = 0; i < kParts; ++i) sums[r][i] += values[i] * rows[r * row];
    }
  }
  const int64_t last = std::min<int64_t>(column + kLanes * kParts, j.columns);
  for (int64_t r = 0; r < kTile; ++r) {
    float whole[kLanes * kParts];
    std::memcpy(whole, sums[r], sizeof whole);
    for (int64_t c = column; c < last; ++c) portable::finish(j, first + r, c, whole[c - column]);
  }
}

template <int kLanes, int kParts>
HALVES_INLINE void multiply(const Job& j) {
  constexpr int64_t kWidth = kLanes * kParts;
  static thread_local std::vector<float> weights;
  weights.resize(std::max(weights.size(), static_cast<size_t>(2 * j.depth * kWidth)));
  for (int64_t column = 0; column < j.columns; column += kWidth) {
    unfold_columns(j, column, kWidth, weights.data());
    int64_t first = 0;
    for (; first + kRows <= j.n_rows; first += kRows) {
      tile<kLanes, kRows, kParts>(j, weights.data(), first, column);
    }
    for (; first < j.n_rows; ++first) tile<kLanes, 1, kParts>(j, weights.data(), first, column);
  }
}

#undef HALVES_INLINE

inline void run(const Job& j) { multiply<4, 2>(j); }

inline void unfold(const float* x, int64_t n, int64_t depth, char* words, float*, int32_t*) {
  unfold_row(x, n, depth, words);
}

#ifdef NATIVE_X86
__attribute__((target("avx2,fma"))) inline void run_avx2(const Job& j) { multiply<8, 2>(j); }

__attribute__((target("avx2,fma"))) inline void unfold_avx2(const float* x, int64_t n,
                                                            int64_t depth, char* words, float*,
                                                            int32_t*) {
  unfold_row(x, n, depth, words);
}
#endif

}  // namespace halves
}  // namespace product
