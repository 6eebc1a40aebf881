// The tiles of product.h for AVX-512: 6 rows by 64 columns in registers. 8 bits take VNNI, bfloat16
// its dot products or, unfolded to float32, multiply-adds.

#pragma once

#include <immintrin.h>

#include "product.h"

namespace product {
namespace avx512 {

// Both kinds of dot products are named, so that one tile serves both: which of the two instructions
// a tile holds depends on its kind alone.
#define PRODUCT_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")))
#define PRODUCT_INLINE PRODUCT_AVX512 __attribute__((always_inline)) inline

constexpr int64_t kLane = 16;
constexpr int kColumns = kPanel / kLane;
constexpr int64_t kLine = 64;  // bytes of a cache line
constexpr int64_t kStep = kPanel * kWord;

PRODUCT_INLINE __mmask16 mask_of(int64_t left) {
  return left >= kLane ? 0xffff : left <= 0 ? 0 : static_cast<__mmask16>((1u << left) - 1);
}

// A kind says how a word of the rows meets one of the weights: in how many parts, each 4 bytes of the
// rows, what those parts are of the weights, how they are summed, what the sums of a block are as real
// numbers, and how a column's total is scaled.
struct Bytes {
  using Sum = __m512i;
  static constexpr int kParts = 1;
  PRODUCT_INLINE static Sum zero() { return _mm512_setzero_si512(); }
  PRODUCT_INLINE static __m512i weights(__m512i word, int) { return word; }
  PRODUCT_INLINE static Sum add(Sum sum, int32_t row, __m512i weights) {
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(row), weights);
  }
  PRODUCT_INLINE static __m512i weight_sums(const Job& j, int64_t block, int64_t column,
                                            __mmask16 mask) {
    return _mm512_maskz_loadu_epi32(mask, j.sums + block * j.stride + column);
  }
  PRODUCT_INLINE static __m512 real(const Job& j, Sum sum, int64_t block, int64_t row,
                                    __m512i weights, __m512 before) {
    const int64_t at = row * j.blocks + block;
    const __m512i zero = _mm512_mullo_epi32(_mm512_set1_epi32(j.zeros[at]), weights);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, zero)),
                           _mm512_set1_ps(j.row_scales[at]), before);
  }
  PRODUCT_INLINE static __m512 scaled(const Job& j, __m512 total, int64_t column, __mmask16 mask) {
    return _mm512_mul_ps(total, _mm512_maskz_loadu_ps(mask, j.scales + column));
  }
};

// Sums that are real numbers themselves, of rows without blocks.
struct RealSums {
  using Sum = __m512;
  PRODUCT_INLINE static Sum zero() { return _mm512_setzero_ps(); }
  PRODUCT_INLINE static __m512i weight_sums(const Job&, int64_t, int64_t, __mmask16) {
    return _mm512_setzero_si512();
  }
  PRODUCT_INLINE static __m512 real(const Job&, Sum sum, int64_t, int64_t, __m512i, __m512) {
    return sum;
  }
  PRODUCT_INLINE static __m512 scaled(const Job&, __m512 total, int64_t, __mmask16) {
    return total;
  }
};

struct Halves : RealSums {
  static constexpr int kParts = 1;
  PRODUCT_INLINE static __m512i weights(__m512i word, int) { return word; }
  PRODUCT_INLINE static Sum add(Sum sum, int32_t row, __m512i weights) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(row), (__m512bh)weights);
  }
};

// Rows are rounded to bfloat16 and kept as float32, so that a multiply-add reads them as they lie.
struct Unfolded : RealSums {
  static constexpr int kParts = 2;
  PRODUCT_INLINE static __m512 weights(__m512i word, int part) {
    return _mm512_castsi512_ps(part == 0 ? _mm512_slli_epi32(word, 16)
                                         : _mm512_and_si512(word, _mm512_set1_epi32(~0xffff)));
  }
  PRODUCT_INLINE static Sum add(Sum sum, int32_t row, __m512 weights) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32(row)), weights, sum);
  }
};

// Rows from `first`; `lines` cache lines from `near` are brought near on the way.
template <typename Kind, int kRows>
PRODUCT_AVX512 void tile(const Job& j, int64_t first, const char* near, int64_t lines) {
  __m512 totals[kRows][kColumns];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kColumns; ++c) totals[r][c] = _mm512_setzero_ps();
  }
  const char *rows = j.rows + first * j.row_bytes, *panel = j.panel;
  for (int64_t block = 0; block < j.blocks; ++block) {
    typename Kind::Sum sums[kRows][kColumns];
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kColumns; ++c) sums[r][c] = Kind::zero();
    }
    const Words words = words_of(j, block);
    for (int64_t k = words.first; k < words.end; ++k, panel += kStep) {
      if (k < lines) _mm_prefetch(near + k * kLine, _MM_HINT_T1);
#pragma GCC unroll 2
      for (int part = 0; part < Kind::kParts; ++part, rows += kWord) {
        decltype(Kind::weights(__m512i(), part)) weights[kColumns];
        for (int c = 0; c < kColumns; ++c) {
          weights[c] = Kind::weights(_mm512_loadu_si512(panel + c * kLine), part);
        }
        for (int r = 0; r < kRows; ++r) {
          int32_t word;
          std::memcpy(&word, rows + r * j.row_bytes, sizeof word);
          for (int c = 0; c < kColumns; ++c) sums[r][c] = Kind::add(sums[r][c], word, weights[c]);
        }
      }
    }
    for (int c = 0; c < kColumns; ++c) {
      const __mmask16 mask = mask_of(j.columns - c * kLane);
      const __m512i weights = Kind::weight_sums(j, block, c * kLane, mask);
      for (int r = 0; r < kRows; ++r) {
        totals[r][c] = Kind::real(j, sums[r][c], block, first + r, weights, totals[r][c]);
      }
    }
  }
  for (int c = 0; c < kColumns; ++c) {
    const __mmask16 mask = mask_of(j.columns - c * kLane);
    const __m512 bias = _mm512_maskz_loadu_ps(mask, j.bias + c * kLane);
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = (first + r) * j.stride + c * kLane;
      __m512 y = _mm512_add_ps(Kind::scaled(j, totals[r][c], c * kLane, mask), bias);
      if (j.add) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, j.add + at));
      _mm512_mask_storeu_ps(j.out + at, mask, y);
    }
  }
}

template <typename Kind>
PRODUCT_AVX512 void run(const Job& j) {
  static constexpr void (*kTiles[])(const Job&, int64_t, const char*, int64_t) = {
      tile<Kind, 1>, tile<Kind, 2>, tile<Kind, 3>, tile<Kind, 4>, tile<Kind, 5>, tile<Kind, 6>};
  const int64_t tiles = (j.n_rows + kTileRows - 1) / kTileRows;
  const int64_t lines = j.next ? j.depth * kStep / kLine : 0;
  const int64_t share = std::min(j.depth, (lines + tiles - 1) / tiles);
  int64_t fetched = 0;
  for (int64_t first = 0; first < j.n_rows; first += kTileRows, fetched += share) {
    const int64_t rows = std::min(kTileRows, j.n_rows - first);
    const int64_t left = std::max<int64_t>(0, std::min(share, lines - fetched));
    kTiles[rows - 1](j, first, j.next + fetched * kLine, left);
  }
}

PRODUCT_AVX512 inline void quantize_bytes(const float* x, int64_t n, int64_t depth, char* words,
                                          float* scale, int32_t* zero) {
  __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
  __mmask16 odd = 0;
  for (int64_t i = 0; i < n; i += kLane) {
    const __m512 v = _mm512_maskz_loadu_ps(mask_of(n - i), x + i);
    odd |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    low = _mm512_min_ps(low, v);
    high = _mm512_max_ps(high, v);
  }
  const float top = odd ? NAN : _mm512_reduce_max_ps(high);
  scale_of(_mm512_reduce_min_ps(low), top, scale, zero);
  const __m512 rate = _mm512_set1_ps(1.0f / *scale);
  const __m512i start = _mm512_set1_epi32(*zero);
  for (int64_t i = 0; i < depth * kWord; i += kLane) {
    const __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask_of(n - i), x + i), rate);
    __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(v), start);
    whole = _mm512_max_epi32(whole, _mm512_setzero_si512());
    const __mmask16 mask = mask_of(depth * kWord - i);
    // Behind the row the weights are 0, so that the zero point there adds nothing.
    _mm_mask_storeu_epi8(words + i, mask, _mm512_cvtusepi32_epi8(whole));
  }
}

PRODUCT_AVX512 inline void quantize_halves(const float* x, int64_t n, int64_t depth, char* words,
                                           float*, int32_t*) {
  for (int64_t i = 0; i < 2 * depth; i += kLane) {
    const __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask_of(n - i), x + i));
    _mm256_mask_storeu_epi16(words + 2 * i, mask_of(2 * depth - i), (__m256i)half);
  }
}

PRODUCT_AVX512 inline void quantize_unfolded(const float* x, int64_t n, int64_t depth, char* words,
                                             float*, int32_t*) {
  const __m512i high = _mm512_set1_epi32(~0xffff), half = _mm512_set1_epi32(0x7fff);
  const __m512i one = _mm512_set1_epi32(1), quiet = _mm512_set1_epi32(0x400000);
  for (int64_t i = 0; i < 2 * depth; i += kLane) {
    const __m512 v = _mm512_maskz_loadu_ps(mask_of(n - i), x + i);
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    __m512i near = _mm512_add_epi32(bits, _mm512_add_epi32(half, odd));
    near = _mm512_mask_or_epi32(near, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits, quiet);
    _mm512_mask_storeu_epi32(words + i * kWord, mask_of(2 * depth - i),
                             _mm512_and_si512(near, high));
  }
}

#undef PRODUCT_INLINE

}  // namespace avx512
}  // namespace product
