// Snake, x + sin(alpha x)^2 / alpha, as operators of ONNX Runtime, with the quantization around it.
//
//   Snake           x float [B, C, T], alpha, inverse float [C]        -> float
//   SnakeQuantize   the same and steps float [C], zero uint8           -> uint8
//   SnakeBytes      x uint8, alpha, inverse float [C], zero_in, zero_out uint8 (steps of 1) -> uint8
//   DequantizeAdd   a float, q uint8 [B, C, T], steps float [C], zero  -> float a + (q - zero) steps

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../loops.h"
#include "../runtime.h"
#include "snake.h"

#ifdef NATIVE_X86
#include <immintrin.h>
#endif

namespace native {
namespace {

// ---- the arithmetic ----------------------------------------------------------------------------

// sin(alpha x)^2: x in half-periods less the nearest integer, then Taylor's polynomial up to r^11.
__attribute__((always_inline)) inline float squared_sine(float half_periods) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds
  const float r = half_periods - ((half_periods + magic) - magic);
  const float s = r * r;
  float p = -0.00737043094571f;
  p = p * s + 0.0821458866111f;
  p = p * s - 0.599264529321f;
  p = p * s + 2.55016403988f;
  p = p * s - 5.16771278005f;
  p = p * s + 3.14159265359f;
  const float sine = p * r;
  return sine * sine;
}

constexpr float kInversePi = 0.318309886183790671538f;

INLINED snake_loop(const float* x, float* y, size_t n, float alpha, float inverse) {
  const float frequency = alpha * kInversePi;
  for (size_t i = 0; i < n; ++i) y[i] = x[i] + inverse * squared_sine(x[i] * frequency);
}

INLINED snake_quantize_loop(const float* x, uint8_t* y, size_t n, float alpha, float inverse,
                         float step, float zero) {
  const float frequency = alpha * kInversePi, rate = 1.0f / step, magic = 12582912.0f;
  for (size_t i = 0; i < n; ++i) {
    float value = (x[i] + inverse * squared_sine(x[i] * frequency)) * rate + zero;
    value = value < 0.0f ? 0.0f : value;
    value = value > 255.0f ? 255.0f : value;
    int32_t bits;
    const float rounded = value + magic;
    std::memcpy(&bits, &rounded, sizeof bits);
    y[i] = static_cast<uint8_t>(bits);
  }
}

INLINED dequantize_add_loop(const float* a, const uint8_t* q, float* y, size_t n, float step,
                         int32_t zero) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] + static_cast<float>(q[i] - zero) * step;
}

}  // namespace

BY_PROCESSOR(snake, (const float* x, float* y, size_t n, float alpha, float inverse),
             (x, y, n, alpha, inverse))

namespace {

BY_PROCESSOR(snake_quantize,
             (const float* x, uint8_t* y, size_t n, float alpha, float inverse, float step,
              float zero),
             (x, y, n, alpha, inverse, step, zero))
BY_PROCESSOR(dequantize_add,
             (const float* a, const uint8_t* q, float* y, size_t n, float step, int32_t zero),
             (a, q, y, n, step, zero))

void look_up_portable(const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table) {
  for (size_t i = 0; i < n; ++i) y[i] = table[x[i]];
}

#ifdef NATIVE_X86
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) void look_up_vbmi(
    const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table) {
  const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
  const __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const __m512i index = _mm512_loadu_si512(x + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, index, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, index, t3);
    _mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
  }
  look_up_portable(x + i, y + i, n - i, table);
}
#endif

void look_up(const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table) {
#ifdef NATIVE_X86
  if (cpu().avx512_vbmi) return look_up_vbmi(x, y, n, table);
#endif
  look_up_portable(x, y, n, table);
}

void fill_table(uint8_t* table, float alpha, float inverse, int zero_in, int zero_out) {
  for (int q = 0; q < 256; ++q) {
    const double x = q - zero_in, sine = std::sin(alpha * x);
    const double value = std::nearbyint(x + inverse * sine * sine) + zero_out;
    table[q] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

// ---- the operators -----------------------------------------------------------------------------

enum Kind { kSnake, kSnakeQuantize, kSnakeBytes, kDequantizeAdd };

// One row is a channel of a batch item; long rows are cut so that all threads have work.
constexpr int64_t kPieceSamples = 16384;

struct Work {
  Kind kind;
  const void *x, *second;
  void* y;
  const float *alpha, *inverse, *steps;
  int zero_in, zero_out;
  int64_t channels, samples, pieces;
};

void piece(void* shared, size_t number) {
  const Work& w = *static_cast<const Work*>(shared);
  const int64_t row = number / w.pieces, first = (number % w.pieces) * kPieceSamples;
  const int64_t c = row % w.channels, at = row * w.samples + first;
  const size_t n = static_cast<size_t>(
      w.samples - first < kPieceSamples ? w.samples - first : kPieceSamples);
  const float* floats = static_cast<const float*>(w.x) + at;
  switch (w.kind) {
    case kSnake:
      return snake(floats, static_cast<float*>(w.y) + at, n, w.alpha[c], w.inverse[c]);
    case kSnakeQuantize:
      return snake_quantize(floats, static_cast<uint8_t*>(w.y) + at, n, w.alpha[c], w.inverse[c],
                            w.steps[c], static_cast<float>(w.zero_out));
    case kSnakeBytes: {
      uint8_t table[256];
      fill_table(table, w.alpha[c], w.inverse[c], w.zero_in, w.zero_out);
      return look_up(static_cast<const uint8_t*>(w.x) + at, static_cast<uint8_t*>(w.y) + at, n,
                     table);
    }
    case kDequantizeAdd:
      return dequantize_add(floats, static_cast<const uint8_t*>(w.second) + at,
                            static_cast<float*>(w.y) + at, n, w.steps[c], w.zero_in);
  }
}

void compute(Table api, int kind, void* context) {
  const Tensor x = input(api, context, 0);
  Work w{};
  const auto floats = [&](size_t i) { return static_cast<const float*>(input(api, context, i).data); };
  const auto byte = [&](size_t i) {
    return static_cast<int>(*static_cast<const uint8_t*>(input(api, context, i).data));
  };
  w.kind = static_cast<Kind>(kind);
  w.x = x.data;
  if (w.kind == kDequantizeAdd) {
    w.second = input(api, context, 1).data;
    w.steps = floats(2);
    w.zero_in = byte(3);
  } else {
    w.alpha = floats(1);
    w.inverse = floats(2);
  }
  if (w.kind == kSnakeQuantize) {
    w.steps = floats(3);
    w.zero_out = byte(4);
  }
  if (w.kind == kSnakeBytes) {
    w.zero_in = byte(3);
    w.zero_out = byte(4);
  }
  w.channels = x.dims[1];
  w.samples = x.dims[2];
  w.pieces = (w.samples + kPieceSamples - 1) / kPieceSamples;
  w.y = output(api, context, x.dims);
  const size_t total = static_cast<size_t>(x.dims[0] * w.channels * w.pieces);
  parallel_for(api, context, &piece, total, &w);
}

}  // namespace

std::vector<Op> snake_ops() {
  return {
      make("Snake", {kFloat, kFloat, kFloat}, kFloat, compute, kSnake),
      make("SnakeQuantize", {kFloat, kFloat, kFloat, kFloat, kUint8}, kUint8, compute,
           kSnakeQuantize),
      make("SnakeBytes", {kUint8, kFloat, kFloat, kUint8, kUint8}, kUint8, compute, kSnakeBytes),
      make("DequantizeAdd", {kFloat, kUint8, kFloat, kUint8}, kFloat, compute, kDequantizeAdd),
  };
}

}  // namespace native
