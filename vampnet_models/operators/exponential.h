// Powers of two as loops that a compiler vectorizes can take them.

#pragma once

#include <cstdint>
#include <cstring>

namespace native {

// 2^t for |t| <= 126: the nearest whole number goes to the exponent, a polynomial takes the rest.
__attribute__((always_inline)) inline float power_of_two(float t) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds, and leaves the number below
  const float shifted = t + magic, r = (t - (shifted - magic)) * 0.693147180559945f;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = static_cast<int32_t>((static_cast<uint32_t>(bits) - 0x4b400000u + 127u) << 23);
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  float p = 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * scale;
}

}  // namespace native
