// The blocked attention of one head where there is no AVX-512, in vectors of any length.

#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "head.h"
#include "../cpu.h"
#include "../exponential.h"
#include "../lanes.h"

namespace attention {
namespace any {

constexpr int64_t kBlock = 48;  // queries whose scores are held at once
constexpr float kNone = -std::numeric_limits<float>::infinity();

// What one head needs, kept from call to call by a thread.
struct Room {
  std::vector<float> keys, values, q, scores;
};

inline float* of(std::vector<float>& room, int64_t n) {
  if (room.size() < static_cast<size_t>(n)) room.resize(static_cast<size_t>(n));
  return room.data();
}

// Weights of a row in place (unnormalised), and their sum. Far behind the highest score they are
// about 1e-38 in place of 0.
template <int kLanes>
LANES_INLINE float soften(float* row, int64_t filled) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
  const auto at = [&](int64_t j) -> Vector& { return *reinterpret_cast<Vector*>(row + j); };
  Vector tops = at(0), sums = {};
  for (int64_t j = kLanes; j < filled; j += kLanes) tops = at(j) > tops ? at(j) : tops;
  float some[kLanes], sum = 0.0f;
  std::memcpy(some, &tops, sizeof some);
  const float top = *std::max_element(some, some + kLanes);
  for (int64_t j = 0; j < filled; ++j) {
    const float t = (row[j] - top) * 1.44269504088896f;
    row[j] = native::power_of_two(t < -126.0f ? -126.0f : t);  // NaN stays one
  }
  for (int64_t j = 0; j < filled; j += kLanes) sums += at(j);
  std::memcpy(some, &sums, sizeof some);
  for (float each : some) sum += each;
  return sum;
}

// Scores of some queries with the keys of one panel, those behind the last key being -infinity.
template <int kLanes, int kTile>
LANES_INLINE void score(const Head& h, const float* q, const float* panel, int64_t query,
                        int64_t key, float* scores, int64_t padded) {
  constexpr int64_t kWidth = kLanes * lanes::kParts;
  float sums[kTile * kWidth];
  lanes::multiply<kLanes, kTile>(q, h.size, panel, kWidth, h.size, sums);
  const int64_t keys = std::min(kWidth, h.keys - key);
  for (int64_t r = 0; r < kTile; ++r) {
    const float* bias = h.bias + key - query - r;
    float* row = scores + r * padded + key;
    for (int64_t c = 0; c < keys; ++c) row[c] = sums[r * kWidth + c] + bias[c];
    std::fill(row + keys, row + kWidth, kNone);
  }
}

template <int kLanes, int kTile>
LANES_INLINE void mix(const Head& h, const float* weights, int64_t padded, const float* values,
                      int64_t width, const float* sums, int64_t query, int64_t channel) {
  constexpr int64_t kWidth = kLanes * lanes::kParts;
  float mixed[kTile * kWidth];
  lanes::multiply<kLanes, kTile>(weights, padded, values + channel, width, h.keys, mixed);
  const int64_t channels = std::min(kWidth, h.size - channel);
  for (int64_t r = 0; r < kTile; ++r) {
    float* out = h.out + (query + r) * h.stride + channel;
    for (int64_t c = 0; c < channels; ++c) out[c] = mixed[r * kWidth + c] / sums[r];
  }
}

template <int kLanes>
LANES_INLINE void run(const Head& h, Room& room) {
  constexpr int64_t kWidth = kLanes * lanes::kParts;
  const int64_t padded = (h.keys + kWidth - 1) / kWidth * kWidth;
  const int64_t width = (h.size + kWidth - 1) / kWidth * kWidth;
  float* keys = of(room.keys, padded * h.size);
  float* values = of(room.values, h.keys * width);
  float* q = of(room.q, kBlock * h.size);
  float* scores = of(room.scores, kBlock * padded);
  float sums[kBlock];
  std::fill(keys, keys + padded * h.size, 0.0f);
  for (int64_t j = 0; j < h.keys; ++j) {
    const float *k = h.k + j * h.stride, *v = h.v + j * h.stride;
    float* column = keys + j / kWidth * kWidth * h.size + j % kWidth;
    for (int64_t d = 0; d < h.size; ++d) column[d * kWidth] = k[d];
    std::copy(v, v + h.size, values + j * width);
    std::fill(values + j * width + h.size, values + (j + 1) * width, 0.0f);
  }
  for (int64_t first = 0; first < h.rows; first += kBlock) {
    const int64_t rows = std::min(kBlock, h.rows - first), whole = rows / lanes::kRows * lanes::kRows;
    for (int64_t i = 0; i < rows; ++i) {
      const float* from = h.q + (first + i) * h.stride;
      for (int64_t d = 0; d < h.size; ++d) q[i * h.size + d] = from[d] * h.scale;
    }
    for (int64_t key = 0; key < h.keys; key += kWidth) {
      const float* panel = keys + key * h.size;
      const auto at = [&](int64_t i) { return scores + i * padded; };
      int64_t i = 0;
      for (; i < whole; i += lanes::kRows) {
        score<kLanes, lanes::kRows>(h, q + i * h.size, panel, first + i, key, at(i), padded);
      }
      for (; i < rows; ++i) score<kLanes, 1>(h, q + i * h.size, panel, first + i, key, at(i), padded);
    }
    for (int64_t i = 0; i < rows; ++i) sums[i] = soften<kLanes>(scores + i * padded, padded);
    for (int64_t channel = 0; channel < h.size; channel += kWidth) {
      const auto at = [&](int64_t i) { return scores + i * padded; };
      int64_t i = 0;
      for (; i < whole; i += lanes::kRows) {
        mix<kLanes, lanes::kRows>(h, at(i), padded, values, width, sums + i, first + i, channel);
      }
      for (; i < rows; ++i) {
        mix<kLanes, 1>(h, at(i), padded, values, width, sums + i, first + i, channel);
      }
    }
  }
}

inline void run_portable(const Head& h, Room& room) { run<4>(h, room); }

#ifdef NATIVE_X86
__attribute__((target("avx2,fma"))) inline void run_avx2(const Head& h, Room& room) {
  run<8>(h, room);
}
#endif

}  // namespace any
}  // namespace attention
