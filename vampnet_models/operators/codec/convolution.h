// Tiles of a one-dimensional convolution in float32: 8 channels of the result by a few registers of
// positions, which stay in registers over all channels and taps of the input.
//
// Weights lie in panels of 8 channels of the result, [channels / 8][input channels][taps][8], zeros
// behind the last; so they are stored in the model. The input lies in a window that holds what the
// positions of a piece need, padding and all, one row per channel.

#pragma once

#include <cstdint>
#include <cstring>

#include "../cpu.h"

namespace convolution {

constexpr int64_t kPanel = 8;       // channels of a panel
constexpr int64_t kPositions = 48;  // of one tile, at most

// One panel at some positions, at most kPositions; windows go on for a whole tile.
struct Tile {
  int64_t positions;
  const float* window;     // the first channel's row, at the first position
  int64_t row;             // floats from one channel to the next
  int64_t channels, taps;  // of the input
  const int64_t* offsets;  // of each tap in a row
  const float* panel;
  float* sums;             // [kPanel][kPositions]
};

using Run = void (*)(const Tile&);

struct Kernel {
  Run run;
  const char* name;
};

#define CONVOLUTION_INLINE __attribute__((always_inline)) inline

// Compilers take vectors of any length, in whatever registers the function around them may use.
template <int kLanes, int kRows, int kParts>
CONVOLUTION_INLINE void part(const Tile& t, int64_t position, int64_t channel) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
  Vector sums[kRows][kParts] = {};
  const float *x = t.window + position, *w = t.panel + channel;
  for (int64_t c = 0; c < t.channels; ++c, x += t.row) {
    for (int64_t k = 0; k < t.taps; ++k, w += kPanel) {
      const float* at = x + t.offsets[k];
      Vector values[kParts];
#pragma GCC unroll 4
      for (int i = 0; i < kParts; ++i) values[i] = *reinterpret_cast<const Vector*>(at + i * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int i = 0; i < kParts; ++i) sums[r][i] += values[i] * w[r];
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float* out = t.sums + (channel + r) * kPositions + position;
    for (int i = 0; i < kParts; ++i) *reinterpret_cast<Vector*>(out + i * kLanes) = sums[r][i];
  }
}

template <int kLanes, int kRows, int kParts>
CONVOLUTION_INLINE void parts(const Tile& t, int64_t position) {
  for (int64_t channel = 0; channel < kPanel; channel += kRows) {
    part<kLanes, kRows, kParts>(t, position, channel);
  }
}

template <int kLanes, int kRows>
CONVOLUTION_INLINE void whole(const Tile& t) {
  for (int64_t position = 0; position < t.positions; position += 3 * kLanes) {
    const int64_t left = t.positions - position;
    if (left > 2 * kLanes) {
      parts<kLanes, kRows, 3>(t, position);
    } else if (left > kLanes) {
      parts<kLanes, kRows, 2>(t, position);
    } else {
      parts<kLanes, kRows, 1>(t, position);
    }
  }
}

#undef CONVOLUTION_INLINE

inline void run_portable(const Tile& t) { whole<4, 4>(t); }

#ifdef NATIVE_X86
__attribute__((target("avx512f"))) inline void run_avx512(const Tile& t) { whole<16, 8>(t); }
__attribute__((target("avx2,fma"))) inline void run_avx2(const Tile& t) { whole<8, 4>(t); }
#elif defined(NATIVE_ARM64)
inline void run_neon(const Tile& t) { whole<4, 8>(t); }
#endif

inline Kernel kernel() {
#if defined(NATIVE_X86)
  if (native::cpu().avx512) return {run_avx512, "avx512"};
  if (native::cpu().avx2) return {run_avx2, "avx2"};
#elif defined(NATIVE_ARM64)
  if (native::cpu().arm_dot) return {run_neon, "neon"};
#endif
  return {run_portable, "portable"};
}

}  // namespace convolution
