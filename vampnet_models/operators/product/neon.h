// The tiles of product.h for ARM64 with dot products of bytes: 6 rows by 16 columns in registers.

#pragma once

#include <arm_neon.h>

#include "product.h"

namespace product {
namespace neon {

constexpr int64_t kColumns = 16;
constexpr int64_t kStep = kPanel * kWord;
constexpr int32_t kMiddle = 128;  // the instruction takes signed bytes: rows are moved by it

template <int kRows>
__attribute__((target("arch=armv8.2-a+dotprod"))) void tile(const Job& j, int64_t first,
                                                            int64_t column) {
  float totals[kRows][kColumns] = {};
  const char *rows = j.rows + first * j.row_bytes, *panel = j.panel + column * kWord;
  const uint8x16_t flip = vdupq_n_u8(kMiddle);
  const int64_t columns = std::min(kColumns, j.columns - column);
  for (int64_t block = 0; block < j.blocks; ++block) {
    int32x4_t sums[kRows][4];
    for (int r = 0; r < kRows; ++r) {
      for (int q = 0; q < 4; ++q) sums[r][q] = vdupq_n_s32(0);
    }
    const Words words = words_of(j, block);
    for (int64_t k = words.first; k < words.end; ++k, rows += kWord, panel += kStep) {
      int8x16_t weights[4];
      for (int q = 0; q < 4; ++q) {
        weights[q] = vld1q_s8(reinterpret_cast<const int8_t*>(panel + 16 * q));
      }
      for (int r = 0; r < kRows; ++r) {
        uint32_t word;
        std::memcpy(&word, rows + r * j.row_bytes, sizeof word);
        const int8x16_t spread =
            vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(vdupq_n_u32(word)), flip));
        for (int q = 0; q < 4; ++q) sums[r][q] = vdotq_s32(sums[r][q], spread, weights[q]);
      }
    }
    const int32_t* of_weights = j.sums + block * j.stride + column;
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = (first + r) * j.blocks + block;
      const int32_t zero = j.zeros[at] - kMiddle;
      int32_t whole[kColumns];
      for (int q = 0; q < 4; ++q) vst1q_s32(whole + 4 * q, sums[r][q]);
      for (int64_t c = 0; c < columns; ++c) {
        const int32_t moved = whole[c] - zero * of_weights[c];
        totals[r][c] += static_cast<float>(moved) * j.row_scales[at];
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      portable::finish(j, first + r, column + c, totals[r][c] * j.scales[column + c]);
    }
  }
}

inline void run(const Job& j) {
  static constexpr void (*kTiles[])(const Job&, int64_t, int64_t) = {
      tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};
  for (int64_t column = 0; column < j.columns; column += kColumns) {
    for (int64_t first = 0; first < j.n_rows; first += kTileRows) {
      kTiles[std::min(kTileRows, j.n_rows - first) - 1](j, first, column);
    }
  }
}

}  // namespace neon
}  // namespace product
