// A gated unit, as an operator of ONNX Runtime.
//
//   GatedGelu   x, gate float, of one shape  -> x * gelu(gate), by the tanh form of GELU
//               (Hendrycks and Gimpel 2016)

#include <cstddef>
#include <cstdint>
#include <vector>

#include "exponential.h"
#include "loops.h"
#include "runtime.h"

namespace native {
namespace {

// gelu(g) = g / (1 + e^(-2 u)), u = sqrt(2 / pi) (g + 0.044715 g^3), the exponent in powers of two.
INLINED gate_loop(const float* x, const float* g, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const float cubed = g[i] + 0.044715f * g[i] * g[i] * g[i];
    float t = cubed * -2.302208198f;
    t = t > 126.0f ? 126.0f : t;  // NaN stays one
    t = t < -126.0f ? -126.0f : t;
    y[i] = x[i] * (g[i] / (1.0f + power_of_two(t)));
  }
}

BY_PROCESSOR(gate, (const float* x, const float* g, float* y, size_t n), (x, g, y, n))

constexpr size_t kPieceValues = 8192;

struct Work {
  const float *x, *g;
  float* y;
  size_t total;
};

void piece(void* shared, size_t number) {
  const Work& w = *static_cast<const Work*>(shared);
  const size_t at = number * kPieceValues, left = w.total - at;
  gate(w.x + at, w.g + at, w.y + at, left < kPieceValues ? left : kPieceValues);
}

void compute(Table api, int, void* context) {
  const Tensor x = input(api, context, 0);
  Work w{static_cast<const float*>(x.data),
         static_cast<const float*>(input(api, context, 1).data), nullptr, 1};
  for (size_t i = 0; i < x.rank; ++i) w.total *= static_cast<size_t>(x.dims[i]);
  w.y = static_cast<float*>(output(api, context, x.dims, x.rank));
  parallel_for(api, context, &piece, (w.total + kPieceValues - 1) / kPieceValues, &w);
}

}  // namespace

std::vector<Op> gate_ops() { return {make("GatedGelu", {kFloat, kFloat}, kFloat, compute, 0)}; }

}  // namespace native
