// The tiles of product.h for AVX2, in 8 bits: exact sums, 2 rows by 16 columns in registers; and
// for AVX-VNNI, 6 rows by 16 columns.

#pragma once

#include <immintrin.h>

#include "product.h"

namespace product {
namespace avx2 {

constexpr int64_t kLane = 8;
constexpr int64_t kColumns = 16;  // of a register tile
constexpr int64_t kStep = kPanel * kWord;

// int32 sums of `kColumns` columns as results; `rows` and `column` are those of the whole panel.
inline void finish(const Job& j, int64_t row, int64_t column, const int32_t* sums) {
  for (int64_t c = column; c < std::min(column + kColumns, j.columns); ++c) {
    const float whole = static_cast<float>(sums[c - column] - j.zeros[row] * j.sums[c]);
    portable::finish(j, row, c, whole * (j.scales[c] * j.row_scales[row]));
  }
}

// Two sums of a column side by side; each word's four bytes were multiplied as 16 bits, since the
// product of bytes adds pairs in 16 bits and would saturate.
__attribute__((target("avx2"))) inline void tile(const Job& j, int64_t first, int64_t rows,
                                                 int64_t column) {
  const int64_t second = first + rows - 1;  // the first again, where there is one row
  const char *x = j.rows + first * j.row_bytes, *y = j.rows + second * j.row_bytes;
  const char* panel = j.panel + column * kWord;
  __m256i sums[2][4] = {};
  for (int64_t k = 0; k < j.depth; ++k, x += kWord, y += kWord, panel += kStep) {
    int32_t words[2];
    std::memcpy(&words[0], x, kWord);
    std::memcpy(&words[1], y, kWord);
    const __m256i a = _mm256_cvtepu8_epi16(_mm_set1_epi32(words[0]));
    const __m256i b = _mm256_cvtepu8_epi16(_mm_set1_epi32(words[1]));
    for (int q = 0; q < 4; ++q) {
      const auto* at = reinterpret_cast<const __m128i*>(panel + 16 * q);
      const __m256i weights = _mm256_cvtepi8_epi16(_mm_loadu_si128(at));
      sums[0][q] = _mm256_add_epi32(sums[0][q], _mm256_madd_epi16(a, weights));
      sums[1][q] = _mm256_add_epi32(sums[1][q], _mm256_madd_epi16(b, weights));
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    int32_t pairs[2 * kColumns], whole[kColumns];
    std::memcpy(pairs, sums[r], sizeof pairs);
    for (int64_t c = 0; c < kColumns; ++c) whole[c] = pairs[2 * c] + pairs[2 * c + 1];
    finish(j, first + r, column, whole);
  }
}

inline void run(const Job& j) {
  for (int64_t column = 0; column < j.columns; column += kColumns) {
    for (int64_t first = 0; first < j.n_rows; first += 2) {
      tile(j, first, std::min<int64_t>(2, j.n_rows - first), column);
    }
  }
}

// The instruction has two encodings: AVX-VNNI's, and AVX-512's for processors that have both.
#define PRODUCT_VNNI_TILES(NAME, TARGET, DOT)                                                   \
  namespace NAME {                                                                              \
  template <int kRows>                                                                          \
  __attribute__((target(TARGET))) void tile(const Job& j, int64_t first, int64_t column) {      \
    __m256i sums[kRows][2] = {};                                                                \
    const char *rows = j.rows + first * j.row_bytes, *panel = j.panel + column * kWord;         \
    for (int64_t k = 0; k < j.depth; ++k, rows += kWord, panel += kStep) {                      \
      const auto* at = reinterpret_cast<const __m256i*>(panel);                                 \
      const __m256i low = _mm256_loadu_si256(at), high = _mm256_loadu_si256(at + 1);            \
      for (int r = 0; r < kRows; ++r) {                                                         \
        int32_t word;                                                                           \
        std::memcpy(&word, rows + r * j.row_bytes, sizeof word);                                \
        const __m256i spread = _mm256_set1_epi32(word);                                         \
        sums[r][0] = DOT(sums[r][0], spread, low);                                              \
        sums[r][1] = DOT(sums[r][1], spread, high);                                             \
      }                                                                                         \
    }                                                                                           \
    for (int r = 0; r < kRows; ++r) {                                                           \
      int32_t whole[kColumns];                                                                  \
      std::memcpy(whole, sums[r], sizeof whole);                                                \
      finish(j, first + r, column, whole);                                                      \
    }                                                                                           \
  }                                                                                             \
  inline void run(const Job& j) {                                                               \
    static constexpr void (*kTiles[])(const Job&, int64_t, int64_t) = {                         \
        tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};                                  \
    for (int64_t column = 0; column < j.columns; column += kColumns) {                          \
      for (int64_t first = 0; first < j.n_rows; first += kTileRows) {                           \
        kTiles[std::min(kTileRows, j.n_rows - first) - 1](j, first, column);                    \
      }                                                                                         \
    }                                                                                           \
  }                                                                                             \
  }

PRODUCT_VNNI_TILES(vnni_vex, "avx2,avxvnni", _mm256_dpbusd_avx_epi32)
PRODUCT_VNNI_TILES(vnni_evex, "avx2,avx512vl,avx512vnni", _mm256_dpbusd_epi32)

#undef PRODUCT_VNNI_TILES

}  // namespace avx2
}  // namespace product
