// The tiles of product.h for AVX2, in 8 bits: exact sums, 4 rows by 16 columns in registers; and
// for AVX-VNNI, 6 rows by 16 columns.

#pragma once

#include <immintrin.h>

#include <vector>

#include "product.h"

namespace product {
namespace avx2 {

constexpr int64_t kLane = 8;
constexpr int64_t kColumns = 16;  // of a register tile
constexpr int64_t kStep = kPanel * kWord;

#define PRODUCT_AVX2 __attribute__((target("avx2,fma")))
#define PRODUCT_INLINE PRODUCT_AVX2 __attribute__((always_inline)) inline

// int32 sums of a block in `kColumns` columns, as real numbers on top of those of the blocks before.
PRODUCT_INLINE void add_block(const Job& j, int64_t block, int64_t row, int64_t column,
                              const __m256i* sums, __m256* totals) {
  const int64_t at = row * j.blocks + block;
  const __m256i zero = _mm256_set1_epi32(j.zeros[at]);
  const __m256 scale = _mm256_set1_ps(j.row_scales[at]);
  const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (int i = 0; i < 2; ++i) {
    const int64_t first = column + i * kLane;
    const __m256i left = _mm256_set1_epi32(static_cast<int>(j.columns - first));
    const __m256i weights = _mm256_maskload_epi32(j.sums + block * j.stride + first,
                                                  _mm256_cmpgt_epi32(left, places));
    const __m256i whole = _mm256_sub_epi32(sums[i], _mm256_mullo_epi32(zero, weights));
    totals[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), scale, totals[i]);
  }
}

// Those of all blocks as results.
PRODUCT_INLINE void finish(const Job& j, int64_t row, int64_t column, const __m256* totals) {
  float real[kColumns];
  for (int i = 0; i < 2; ++i) _mm256_storeu_ps(real + i * kLane, totals[i]);
  for (int64_t c = column; c < std::min(column + kColumns, j.columns); ++c) {
    portable::finish(j, row, c, real[c - column] * j.scales[c]);
  }
}

constexpr int64_t kRows = 4;  // of a tile: more do not fit in 16 registers beside what they meet
constexpr int64_t kPairs = 2 * kWord;  // bytes of a word's two pairs, in 16 bits each

// 16 columns of a panel in pairs of 16 bits, which are multiplied and summed exactly where those of
// 8 bits would saturate: of each word its bytes 0 and 2, then 1 and 3. They lie one behind the other:
// in the panel, with other columns between them, they would fall on a quarter of the cache's sets.
PRODUCT_AVX2 inline void widen(const Job& j, int64_t column, int16_t* pairs) {
  const char* panel = j.panel + column * kWord;
  auto* to = reinterpret_cast<__m256i*>(pairs);
  for (int64_t k = 0; k < j.depth; ++k, panel += kStep, to += 4) {
    const auto* at = reinterpret_cast<const __m256i*>(panel);
    for (int i = 0; i < 2; ++i) {
      const __m256i word = _mm256_loadu_si256(at + i);
      _mm256_storeu_si256(to + i, _mm256_srai_epi16(_mm256_slli_epi16(word, 8), 8));
      _mm256_storeu_si256(to + 2 + i, _mm256_srai_epi16(word, 8));
    }
  }
}

template <int kTile>
PRODUCT_AVX2 void tile(const Job& j, const int16_t* pairs, int64_t first, int64_t column) {
  __m256 totals[kTile][2] = {};
  const char* rows = j.rows + first * j.row_bytes;
  const auto* at = reinterpret_cast<const __m256i*>(pairs);
  for (int64_t block = 0; block < j.blocks; ++block) {
    __m256i sums[kTile][2] = {};
    const Words words = words_of(j, block);
#pragma GCC unroll 2
    for (int64_t k = 2 * words.first; k < 2 * words.end; ++k, rows += kWord, at += 2) {
      const __m256i low = _mm256_loadu_si256(at), high = _mm256_loadu_si256(at + 1);
#pragma GCC unroll 4
      for (int r = 0; r < kTile; ++r) {
        int32_t pair;
        std::memcpy(&pair, rows + r * j.row_bytes, sizeof pair);
        const __m256i spread = _mm256_set1_epi32(pair);
        sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(spread, low));
        sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(spread, high));
      }
    }
    for (int r = 0; r < kTile; ++r) add_block(j, block, first + r, column, sums[r], totals[r]);
  }
  for (int r = 0; r < kTile; ++r) finish(j, first + r, column, totals[r]);
}

inline void run(const Job& j) {
  static constexpr void (*kTiles[])(const Job&, const int16_t*, int64_t, int64_t) = {
      tile<1>, tile<2>, tile<3>, tile<4>};
  static thread_local std::vector<int16_t> pairs;
  pairs.resize(std::max(pairs.size(), static_cast<size_t>(j.depth * kWord * kColumns)));
  const int64_t tiles = (j.n_rows + kRows - 1) / kRows;
  Ahead ahead(j, tiles * ((j.columns + kColumns - 1) / kColumns));
  for (int64_t column = 0; column < j.columns; column += kColumns) {
    widen(j, column, pairs.data());
    for (int64_t first = 0; first < j.n_rows; first += kRows) {
      ahead.step();
      kTiles[std::min(kRows, j.n_rows - first) - 1](j, pairs.data(), first, column);
    }
  }
}

// Zeros behind the row's end.
PRODUCT_AVX2 inline __m256 values(const float* x, int64_t left) {
  if (left >= kLane) return _mm256_loadu_ps(x);
  float some[kLane] = {};
  std::copy(x, x + std::max<int64_t>(0, left), some);
  return _mm256_loadu_ps(some);
}

// In bytes, or with `kWide` in pairs as `widen` makes of the weights.
template <bool kWide>
PRODUCT_AVX2 void quantize(const float* x, int64_t n, int64_t depth, char* words, float* scale,
                           int32_t* zero) {
  constexpr int64_t kBytes = kWide ? 2 : 1;  // of a value
  __m256 low = _mm256_setzero_ps(), high = low, odd = low;
  for (int64_t i = 0; i < n; i += kLane) {
    const __m256 v = values(x + i, n - i);
    odd = _mm256_or_ps(odd, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    low = _mm256_min_ps(low, v);
    high = _mm256_max_ps(high, v);
  }
  float lows[kLane], highs[kLane];
  _mm256_storeu_ps(lows, low);
  _mm256_storeu_ps(highs, high);
  const float top = _mm256_movemask_ps(odd) ? NAN : *std::max_element(highs, highs + kLane);
  scale_of(*std::min_element(lows, lows + kLane), top, scale, zero);
  const __m256 rate = _mm256_set1_ps(1.0f / *scale);
  const __m256i start = _mm256_set1_epi32(*zero), most = _mm256_set1_epi32(255);
  for (int64_t i = 0; i < depth * kWord; i += kLane) {
    const __m256i near = _mm256_cvtps_epi32(_mm256_mul_ps(values(x + i, n - i), rate));
    __m256i whole = _mm256_add_epi32(near, start);
    whole = _mm256_min_epi32(_mm256_max_epi32(whole, _mm256_setzero_si256()), most);
    if (kWide) {
      whole = _mm256_or_si256(whole, _mm256_slli_epi32(_mm256_shuffle_epi32(whole, 0x0e), 16));
      whole = _mm256_permute4x64_epi64(whole, 0x08);
    } else {
      whole = _mm256_packus_epi16(_mm256_packs_epi32(whole, whole), whole);
      whole = _mm256_permutevar8x32_epi32(whole, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0));
    }
    // Behind the row the weights are 0, so that the zero point there adds nothing.
    char* to = words + kBytes * i;
    if (const int64_t left = depth * kWord - i; left < kLane) {
      std::memcpy(to, &whole, static_cast<size_t>(kBytes * left));
    } else {
      std::memcpy(to, &whole, kBytes * kLane);
    }
  }
}

// The instruction has two encodings: AVX-VNNI's, and AVX-512's for processors that have both.
#define PRODUCT_VNNI_TILES(NAME, TARGET, DOT)                                                   \
  namespace NAME {                                                                              \
  template <int kRows>                                                                          \
  __attribute__((target(TARGET))) void tile(const Job& j, int64_t first, int64_t column) {      \
    __m256 totals[kRows][2] = {};                                                               \
    const char *rows = j.rows + first * j.row_bytes, *panel = j.panel + column * kWord;         \
    for (int64_t block = 0; block < j.blocks; ++block) {                                        \
      __m256i sums[kRows][2] = {};                                                              \
      const Words words = words_of(j, block);                                                   \
      for (int64_t k = words.first; k < words.end; ++k, rows += kWord, panel += kStep) {        \
        const auto* at = reinterpret_cast<const __m256i*>(panel);                               \
        const __m256i low = _mm256_loadu_si256(at), high = _mm256_loadu_si256(at + 1);          \
        for (int r = 0; r < kRows; ++r) {                                                       \
          int32_t word;                                                                         \
          std::memcpy(&word, rows + r * j.row_bytes, sizeof word);                              \
          const __m256i spread = _mm256_set1_epi32(word);                                       \
          sums[r][0] = DOT(sums[r][0], spread, low);                                            \
          sums[r][1] = DOT(sums[r][1], spread, high);                                           \
        }                                                                                       \
      }                                                                                         \
      for (int r = 0; r < kRows; ++r) {                                                         \
        add_block(j, block, first + r, column, sums[r], totals[r]);                             \
      }                                                                                         \
    }                                                                                           \
    for (int r = 0; r < kRows; ++r) finish(j, first + r, column, totals[r]);                    \
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

PRODUCT_VNNI_TILES(vnni_vex, "avx2,fma,avxvnni", _mm256_dpbusd_avx_epi32)
PRODUCT_VNNI_TILES(vnni_evex, "avx2,fma,avx512vl,avx512vnni", _mm256_dpbusd_epi32)

#undef PRODUCT_VNNI_TILES
#undef PRODUCT_INLINE
#undef PRODUCT_AVX2

}  // namespace avx2
}  // namespace product
