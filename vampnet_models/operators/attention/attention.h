// Attention with a bias by relative position, blocked so that scores never leave a core's cache.
//
// softmax(scale q k^T + bias) v per head, the bias of query i and key j being that of j - i (Raffel
// et al. 2020), so that a table of all offsets is read in place of a matrix per head. Products in
// float32, or in bfloat16 with float32 sums where the processor has the instructions and the caller
// allows it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "head.h"
#include "vectors.h"
#include "../cpu.h"

#ifdef NATIVE_X86
#include <immintrin.h>
#define ATTENTION_AVX512 1
#endif

namespace attention {

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

// What differs between the two kinds of products: a word of a packed row holds one float32 channel
// or two bfloat16 ones, and meets a register of words. tiles.h is the rest, for both.

namespace exact {

#define ATTENTION_TARGET AVX512
constexpr int kPerWord = 1;
using Word = float;
using Lanes = __m512;

AVX512 inline Lanes load(const Word* at) { return _mm512_load_ps(at); }

AVX512 inline __m512 add(__m512 sum, Word x, Lanes with) {
  return _mm512_fmadd_ps(_mm512_set1_ps(x), with, sum);
}

AVX512 inline void pack(const float* from, int64_t n, int64_t, float factor, Word* to) {
  for (int64_t d = 0; d < n; ++d) to[d] = from[d] * factor;
}

AVX512 inline const Word* words_of(const float* from, int64_t, int64_t, Word*) { return from; }

AVX512 inline void pack_values(const float* from, const float*, int64_t n, int64_t width,
                               Word* to) {
  std::memcpy(to, from, n * sizeof(Word));
  for (int64_t d = n; d < width; ++d) to[d] = 0.0f;
}

AVX512 inline void pack_weights(float*, int64_t) {}

#include "tiles.h"
#undef ATTENTION_TARGET

}  // namespace exact

namespace bfloat16 {

#define ATTENTION_TARGET AVX512_BF16
constexpr int kPerWord = 2;
using Word = uint32_t;
using Lanes = __m512bh;

AVX512_BF16 inline Lanes load(const Word* at) { return (Lanes)_mm512_load_si512(at); }

AVX512_BF16 inline __m512 add(__m512 sum, Word pair, Lanes with) {
  return _mm512_dpbf16_ps(sum, (Lanes)_mm512_set1_epi32(static_cast<int>(pair)), with);
}

// A row with zeros up to 2 * depth.
AVX512_BF16 inline void pack(const float* from, int64_t n, int64_t depth, float factor, Word* to) {
  const __m512 scale = _mm512_set1_ps(factor);
  for (int64_t d = 0; d < 2 * depth; d += kLane) {
    const __m512 x = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask_of(n - d), from + d), scale);
    const __m256bh half = _mm512_cvtneps_pbh(x);
    const int64_t left = 2 * depth - d < kLane ? 2 * depth - d : kLane;
    std::memcpy(to + d / 2, &half, left * 2);
  }
}

AVX512_BF16 inline const Word* words_of(const float* from, int64_t n, int64_t depth, Word* room) {
  pack(from, n, depth, 1.0f, room);
  return room;
}

// 16 floats in bfloat16, each in the lower half of a word.
AVX512_BF16 inline __m512i halves_of(const float* from, int64_t left) {
  const __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask_of(left), from));
  return _mm512_cvtepu16_epi32((__m256i)half);
}

// Two rows of values word by word; `odd` may be null for zeros.
AVX512_BF16 inline void pack_values(const float* even, const float* odd, int64_t n, int64_t width,
                                    Word* to) {
  for (int64_t d = 0; d < width; d += kLane) {
    __m512i pair = halves_of(even + d, n - d);
    if (odd) pair = _mm512_or_si512(pair, _mm512_slli_epi32(halves_of(odd + d, n - d), 16));
    _mm512_store_si512(to + d, pair);
  }
}

// In the row's own place: each write lies before what is read.
AVX512_BF16 inline void pack_weights(float* row, int64_t filled) {
  auto* halves = reinterpret_cast<char*>(row);
  for (int64_t j = 0; j < filled; j += kLane) {
    const __m256bh half = _mm512_cvtneps_pbh(_mm512_load_ps(row + j));
    std::memcpy(halves + 2 * j, &half, sizeof half);
  }
}

#include "tiles.h"
#undef ATTENTION_TARGET

}  // namespace bfloat16

#endif

inline void run(const Head& h, [[maybe_unused]] bool allow_bf16) {
  static thread_local any::Room room;
#ifdef ATTENTION_AVX512
  static thread_local Space space;
  const native::Cpu& cpu = native::cpu();
  if (allow_bf16 && cpu.fast_bf16) return bfloat16::run(h, space);
  if (cpu.avx512) return exact::run(h, space);
  if (cpu.avx2) return any::run_avx2(h, room);
#endif
  any::run_portable(h, room);
}

}  // namespace attention
