// Attention with a bias by relative position, blocked so that scores never leave a core's cache.
//
// softmax(scale q k^T + bias) v per head, the bias of query i and key j being that of j - i (Raffel
// et al. 2020), so that a table of all offsets is read in place of a matrix per head. Products in
// float32, or in bfloat16 with float32 sums where the processor has the instructions and the caller
// allows it.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define ATTENTION_AVX512 1
#endif

namespace attention {

struct Head {
  const float *q, *k, *v, *bias;  // bias of the first query and key; the next query's lies before
  float* out;
  int64_t rows, keys, size;  // queries of this piece, keys, channels of a head
  int64_t stride;            // channels of all heads: the distance of two frames
  float scale;
};

inline void portable(const Head& h) {
  std::vector<float> scores(h.keys);
  for (int64_t i = 0; i < h.rows; ++i) {
    const float* q = h.q + i * h.stride;
    float top = -std::numeric_limits<float>::infinity(), sum = 0.0f;
    for (int64_t j = 0; j < h.keys; ++j) {
      const float* k = h.k + j * h.stride;
      float dot = 0.0f;
      for (int64_t d = 0; d < h.size; ++d) dot += q[d] * k[d];
      scores[j] = dot * h.scale + h.bias[j - i];
      top = scores[j] > top ? scores[j] : top;
    }
    float* out = h.out + i * h.stride;
    for (int64_t d = 0; d < h.size; ++d) out[d] = 0.0f;
    for (int64_t j = 0; j < h.keys; ++j) {
      const float weight = std::exp(scores[j] - top), *v = h.v + j * h.stride;
      sum += weight;
      for (int64_t d = 0; d < h.size; ++d) out[d] += weight * v[d];
    }
    for (int64_t d = 0; d < h.size; ++d) out[d] /= sum;
  }
}

#ifdef ATTENTION_AVX512

constexpr int kLane = 16;           // floats of a register
constexpr int kKeys = 3 * kLane;    // keys of a score tile
constexpr int kRows = 8;            // queries of a score tile
constexpr int kBlock = 48;          // queries whose scores are held at once
constexpr int kOutRows = 6, kOut = 4 * kLane;  // of an output tile

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

// exp(x) for x <= 0: 2^n 2^r with a polynomial for |r| <= 1/2, within 2e-7 of the value.
AVX512 inline __m512 exp_of(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
  const __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896f));
  const __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.0f / 720.0f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

// Work space of one thread, kept from call to call.
struct Space {
  std::vector<char> bytes;
  size_t used = 0;

  template <typename T>
  T* take(size_t n) {
    used = (used + 63) / 64 * 64;
    T* found = reinterpret_cast<T*>(base() + used);
    used += n * sizeof(T);
    return found;
  }
  char* base() {
    const auto at = reinterpret_cast<uintptr_t>(bytes.data());
    return bytes.data() + ((64 - at % 64) % 64);
  }
};

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

AVX512 inline __mmask16 mask_of(int64_t left) {
  return left >= kLane ? 0xffff : left <= 0 ? 0 : static_cast<__mmask16>((1u << left) - 1);
}

// A tile's start: the bias, and minus infinity behind the last key.
AVX512 inline __m512 start(const float* bias, int64_t left) {
  const __mmask16 mask = mask_of(left);
  const __m512 none = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  return _mm512_mask_loadu_ps(none, mask, bias);
}

// Weights of a row in place (unnormalised), and their sum.
AVX512 inline float soften(float* row, int64_t filled) {
  __m512 top = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (int64_t j = 0; j < filled; j += kLane) top = _mm512_max_ps(top, _mm512_load_ps(row + j));
  const __m512 peak = _mm512_set1_ps(_mm512_reduce_max_ps(top));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < filled; j += kLane) {
    const __m512 score = _mm512_load_ps(row + j);
    const __mmask16 there = _mm512_cmp_ps_mask(
        score, _mm512_set1_ps(-std::numeric_limits<float>::infinity()), _CMP_NEQ_OQ);
    const __m512 weight = _mm512_maskz_mov_ps(there, exp_of(_mm512_sub_ps(score, peak)));
    sum = _mm512_add_ps(sum, weight);
    _mm512_store_ps(row + j, weight);
  }
  return _mm512_reduce_add_ps(sum);
}

// ---- float32 -----------------------------------------------------------------------------------

template <int kParts>  // registers of keys that there are
AVX512 inline void score_tile(const float* q, int64_t depth, const float* panel, const Head& h,
                              int64_t row, int64_t key, float* scores, int64_t padded) {
  __m512 sum[kRows][kParts];
  for (int r = 0; r < kRows; ++r) {
    const int64_t query = row + r < h.rows ? row + r : h.rows - 1;
    for (int c = 0; c < kParts; ++c)
      sum[r][c] = start(h.bias + key - query + c * kLane, h.keys - key - c * kLane);
  }
  for (int64_t d = 0; d < depth; ++d) {
    __m512 k[kParts];
#pragma GCC unroll 3
    for (int c = 0; c < kParts; ++c) k[c] = _mm512_load_ps(panel + d * kKeys + c * kLane);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512 x = _mm512_set1_ps(q[r * depth + d]);
#pragma GCC unroll 3
      for (int c = 0; c < kParts; ++c) sum[r][c] = _mm512_fmadd_ps(x, k[c], sum[r][c]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kParts; ++c) _mm512_store_ps(scores + r * padded + c * kLane, sum[r][c]);
}

AVX512 inline void out_tile(const float* weights, int64_t padded, int64_t keys, const float* v,
                            int64_t width, const float* sums, const Head& h, int64_t row,
                            int64_t channel) {
  __m512 sum[kOutRows][4];
  for (auto& each : sum)
    for (auto& part : each) part = _mm512_setzero_ps();
  for (int64_t t = 0; t < keys; ++t) {
    const float* at = v + t * width;
    const __m512 v0 = _mm512_load_ps(at), v1 = _mm512_load_ps(at + 16);
    const __m512 v2 = _mm512_load_ps(at + 32), v3 = _mm512_load_ps(at + 48);
#pragma GCC unroll 6
    for (int r = 0; r < kOutRows; ++r) {
      const __m512 x = _mm512_set1_ps(weights[r * padded + t]);
      sum[r][0] = _mm512_fmadd_ps(x, v0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(x, v1, sum[r][1]);
      sum[r][2] = _mm512_fmadd_ps(x, v2, sum[r][2]);
      sum[r][3] = _mm512_fmadd_ps(x, v3, sum[r][3]);
    }
  }
  for (int r = 0; r < kOutRows && row + r < h.rows; ++r) {
    const __m512 share = _mm512_set1_ps(1.0f / sums[r]);
    float* out = h.out + (row + r) * h.stride + channel;
    for (int c = 0; c < 4; ++c)
      _mm512_mask_storeu_ps(out + c * kLane, mask_of(h.size - channel - c * kLane),
                            _mm512_mul_ps(sum[r][c], share));
  }
}

AVX512 inline void by_float(const Head& h, Space& space) {
  const int64_t padded = round_up(h.keys, kKeys), width = round_up(h.size, kOut);
  space.used = 0;
  const size_t floats = padded * (h.size + width + kBlock + 8) + kBlock * (h.size + 8);
  if (space.bytes.size() < floats * 4 + 1024) space.bytes.resize(floats * 4 + 1024);
  float* keys = space.take<float>(padded * h.size);
  float* values = space.take<float>(h.keys * width);
  float* q = space.take<float>((kBlock + 8) * h.size);
  float* scores = space.take<float>((kBlock + 8) * padded);
  float sums[kBlock + 8];
  std::memset(keys, 0, padded * h.size * sizeof(float));
  std::memset(values, 0, h.keys * width * sizeof(float));
  for (int64_t j = 0; j < h.keys; ++j) {
    float* column = keys + j / kKeys * kKeys * h.size + j % kKeys;
    const float* k = h.k + j * h.stride;
    for (int64_t d = 0; d < h.size; ++d) column[d * kKeys] = k[d];
    std::memcpy(values + j * width, h.v + j * h.stride, h.size * sizeof(float));
  }
  for (int64_t first = 0; first < h.rows; first += kBlock) {
    const int64_t rows = h.rows - first < kBlock ? h.rows - first : kBlock;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t d = 0; d < h.size; ++d)
        q[i * h.size + d] = h.q[(first + i) * h.stride + d] * h.scale;
    for (int64_t key = 0; key < h.keys; key += kKeys) {
      const int64_t left = h.keys - key;
      const auto tile = left > 2 * kLane ? score_tile<3>
                        : left > kLane   ? score_tile<2>
                                         : score_tile<1>;
      for (int64_t i = 0; i < rows; i += kRows)
        tile(q + i * h.size, h.size, keys + key * h.size, h, first + i, key,
             scores + i * padded + key, padded);
    }
    for (int64_t i = 0; i < rows; ++i) sums[i] = soften(scores + i * padded, round_up(h.keys, kLane));
    for (int64_t i = 0; i < rows; i += kOutRows)
      for (int64_t channel = 0; channel < h.size; channel += kOut)
        out_tile(scores + i * padded, padded, h.keys, values + channel, width, sums + i, h,
                 first + i, channel);
  }
}

// ---- bfloat16 products, float32 sums -------------------------------------------------------------

AVX512_BF16 inline __m512 dot(__m512 sum, uint32_t pair, __m512bh with) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(pair)), with);
}

AVX512_BF16 inline __m512bh pairs_at(const uint32_t* at) {
  return (__m512bh)_mm512_load_si512(at);
}

// A row in bfloat16, so that each two neighbours are one word; zeros up to 2 * depth.
AVX512_BF16 inline void narrow(const float* from, int64_t n, int64_t depth, float factor,
                               uint32_t* to) {
  const __m512 scale = _mm512_set1_ps(factor);
  for (int64_t d = 0; d < 2 * depth; d += kLane) {
    const __m512 x = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask_of(n - d), from + d), scale);
    const __m256bh half = _mm512_cvtneps_pbh(x);
    const int64_t left = 2 * depth - d < kLane ? 2 * depth - d : kLane;
    std::memcpy(to + d / 2, &half, left * 2);
  }
}

// 16 floats in bfloat16, each in the lower half of a word.
AVX512_BF16 inline __m512i words_of(const float* from, int64_t left) {
  const __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask_of(left), from));
  return _mm512_cvtepu16_epi32((__m256i)half);
}

// Two rows in bfloat16, word by word; `odd` may be null for zeros.
AVX512_BF16 inline void interleave(const float* even, const float* odd, int64_t n, int64_t width,
                                   uint32_t* to) {
  for (int64_t d = 0; d < width; d += kLane) {
    __m512i pair = words_of(even + d, n - d);
    if (odd) pair = _mm512_or_si512(pair, _mm512_slli_epi32(words_of(odd + d, n - d), 16));
    _mm512_store_si512(to + d, pair);
  }
}

template <int kParts>
AVX512_BF16 inline void score_tile_bf16(const uint32_t* q, int64_t depth, const uint32_t* panel,
                                        const Head& h, int64_t row, int64_t key, float* scores,
                                        int64_t padded) {
  __m512 sum[kRows][kParts];
  for (int r = 0; r < kRows; ++r) {
    const int64_t query = row + r < h.rows ? row + r : h.rows - 1;
    for (int c = 0; c < kParts; ++c)
      sum[r][c] = start(h.bias + key - query + c * kLane, h.keys - key - c * kLane);
  }
  for (int64_t d = 0; d < depth; ++d) {
    __m512bh k[kParts];
#pragma GCC unroll 3
    for (int c = 0; c < kParts; ++c) k[c] = pairs_at(panel + d * kKeys + c * kLane);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const uint32_t x = q[r * depth + d];
#pragma GCC unroll 3
      for (int c = 0; c < kParts; ++c) sum[r][c] = dot(sum[r][c], x, k[c]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kParts; ++c) _mm512_store_ps(scores + r * padded + c * kLane, sum[r][c]);
}

AVX512_BF16 inline void out_tile_bf16(const uint32_t* weights, int64_t padded_pairs, int64_t pairs,
                                      const uint32_t* v, int64_t width, const float* sums,
                                      const Head& h, int64_t row, int64_t channel) {
  __m512 sum[kOutRows][4];
  for (auto& each : sum)
    for (auto& part : each) part = _mm512_setzero_ps();
  for (int64_t t = 0; t < pairs; ++t) {
    const uint32_t* at = v + t * width;
    const __m512bh v0 = pairs_at(at), v1 = pairs_at(at + 16);
    const __m512bh v2 = pairs_at(at + 32), v3 = pairs_at(at + 48);
#pragma GCC unroll 6
    for (int r = 0; r < kOutRows; ++r) {
      const uint32_t x = weights[r * padded_pairs + t];
      sum[r][0] = dot(sum[r][0], x, v0);
      sum[r][1] = dot(sum[r][1], x, v1);
      sum[r][2] = dot(sum[r][2], x, v2);
      sum[r][3] = dot(sum[r][3], x, v3);
    }
  }
  for (int r = 0; r < kOutRows && row + r < h.rows; ++r) {
    const __m512 share = _mm512_set1_ps(1.0f / sums[r]);
    float* out = h.out + (row + r) * h.stride + channel;
    for (int c = 0; c < 4; ++c)
      _mm512_mask_storeu_ps(out + c * kLane, mask_of(h.size - channel - c * kLane),
                            _mm512_mul_ps(sum[r][c], share));
  }
}

AVX512_BF16 inline void by_bf16(const Head& h, Space& space) {
  const int64_t padded = round_up(h.keys, kKeys), width = round_up(h.size, kOut);
  const int64_t depth = (h.size + 1) / 2, pairs = (h.keys + 1) / 2;
  space.used = 0;
  const size_t words = padded * (depth + width / 2 + kBlock + 8) * 2 + (kBlock + 8) * (depth + 8);
  if (space.bytes.size() < words * 4 + 1024) space.bytes.resize(words * 4 + 1024);
  uint32_t* keys = space.take<uint32_t>(padded * depth);
  uint32_t* values = space.take<uint32_t>(pairs * width);
  uint32_t* q = space.take<uint32_t>((kBlock + 8) * depth);
  float* scores = space.take<float>((kBlock + 8) * padded);
  float sums[kBlock + 8];
  uint32_t* row = space.take<uint32_t>(depth + kLane);
  std::memset(keys, 0, padded * depth * sizeof(uint32_t));
  for (int64_t j = 0; j < h.keys; ++j) {
    narrow(h.k + j * h.stride, h.size, depth, 1.0f, row);
    uint32_t* column = keys + j / kKeys * kKeys * depth + j % kKeys;
    for (int64_t d = 0; d < depth; ++d) column[d * kKeys] = row[d];
  }
  for (int64_t t = 0; t < pairs; ++t) {
    const float* v = h.v + 2 * t * h.stride;
    interleave(v, 2 * t + 1 < h.keys ? v + h.stride : nullptr, h.size, width, values + t * width);
  }
  for (int64_t first = 0; first < h.rows; first += kBlock) {
    const int64_t rows = h.rows - first < kBlock ? h.rows - first : kBlock;
    for (int64_t i = 0; i < rows; ++i)
      narrow(h.q + (first + i) * h.stride, h.size, depth, h.scale, q + i * depth);
    for (int64_t key = 0; key < h.keys; key += kKeys) {
      const int64_t left = h.keys - key;
      const auto tile = left > 2 * kLane ? score_tile_bf16<3>
                        : left > kLane   ? score_tile_bf16<2>
                                         : score_tile_bf16<1>;
      for (int64_t i = 0; i < rows; i += kRows)
        tile(q + i * depth, depth, keys + key * depth, h, first + i, key,
             scores + i * padded + key, padded);
    }
    const int64_t filled = round_up(h.keys, kLane);
    for (int64_t i = 0; i < rows; ++i) {
      float* scored = scores + i * padded;
      sums[i] = soften(scored, filled);
      // The weights become bfloat16 in the row's own place: each write lies before what is read.
      auto* halves = reinterpret_cast<char*>(scored);
      for (int64_t j = 0; j < filled; j += kLane) {
        const __m256bh half = _mm512_cvtneps_pbh(_mm512_load_ps(scored + j));
        std::memcpy(halves + 2 * j, &half, sizeof half);
      }
    }
    for (int64_t i = 0; i < rows; i += kOutRows)
      for (int64_t channel = 0; channel < h.size; channel += kOut)
        out_tile_bf16(reinterpret_cast<const uint32_t*>(scores + i * padded), padded, pairs,
                      values + channel, width, sums + i, h, first + i, channel);
  }
}

#endif

inline void run(const Head& h, bool allow_bf16) {
#ifdef ATTENTION_AVX512
  static thread_local Space space;
  static const bool has_avx512 = __builtin_cpu_supports("avx512f") &&
                                 __builtin_cpu_supports("avx512bw") &&
                                 __builtin_cpu_supports("avx512vl");
  static const bool has_bf16 = has_avx512 && __builtin_cpu_supports("avx512bf16");
  if (allow_bf16 && has_bf16) return by_bf16(h, space);
  if (has_avx512) return by_float(h, space);
#endif
  portable(h);
}

}  // namespace attention
