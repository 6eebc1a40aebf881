// Attention with a bias by relative position, as an operator of ONNX Runtime.
//
//   RelativeAttention  q, k, v float [B, T, heads * size], bias float [1, heads, 1, 2 T - 1] by the
//                      offset key - query + T - 1, scale float [1]  -> float [B, T, heads * size]
//   RelativeAttentionBfloat16  the same; products may be in bfloat16

#include "attention.h"

#include "../runtime.h"

namespace native {
namespace {

enum Kind { kExact, kBfloat16 };

// Queries of one piece of work: enough to repay the packing of its head's keys.
constexpr int64_t kPieceRows = 192;

struct Work {
  const float *q, *k, *v, *bias;
  float* out;
  float scale;
  int64_t heads, size, length, pieces;
  bool allow_bf16;
};

void piece(void* shared, size_t number) {
  const Work& w = *static_cast<const Work*>(shared);
  const int64_t at = static_cast<int64_t>(number);
  const int64_t first = at % w.pieces * kPieceRows, head = at / w.pieces % w.heads;
  const int64_t item = at / w.pieces / w.heads, stride = w.heads * w.size;
  const int64_t start = item * w.length * stride + head * w.size;
  const int64_t rows = w.length - first < kPieceRows ? w.length - first : kPieceRows;
  const float* bias = w.bias + head * (2 * w.length - 1) + w.length - 1 - first;
  attention::run({w.q + start + first * stride, w.k + start, w.v + start, bias,
                  w.out + start + first * stride, rows, w.length, w.size, stride, w.scale},
                 w.allow_bf16);
}

void compute(Table api, int kind, void* context) {
  const auto floats = [&](size_t i) { return static_cast<const float*>(input(api, context, i).data); };
  const Tensor q = input(api, context, 0), bias = input(api, context, 3);
  Work w{};
  w.q = static_cast<const float*>(q.data);
  w.k = floats(1);
  w.v = floats(2);
  w.bias = static_cast<const float*>(bias.data);
  w.scale = *floats(4);
  w.heads = bias.dims[1];
  w.length = q.dims[1];
  w.size = q.dims[2] / w.heads;
  w.pieces = (w.length + kPieceRows - 1) / kPieceRows;
  w.allow_bf16 = kind == kBfloat16;
  w.out = static_cast<float*>(output(api, context, q.dims));
  parallel_for(api, context, &piece, static_cast<size_t>(q.dims[0] * w.heads * w.pieces), &w);
}

}  // namespace

std::vector<Op> attention_ops() {
  const std::vector<int> takes(5, kFloat);
  return {
      make("RelativeAttention", takes, kFloat, compute, kExact),
      make("RelativeAttentionBfloat16", takes, kFloat, compute, kBfloat16),
  };
}

}  // namespace native
