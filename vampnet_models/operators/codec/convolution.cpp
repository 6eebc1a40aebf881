// One-dimensional convolutions in float32 as an operator of ONNX Runtime, with the Snake before them
// and the sum behind them.
//
//   Convolution  x float [B, C, T], weight float [P, C, taps, 8] (convolution.h), scales, bias float
//                [N], geometry int32 [7], alpha, inverse float [C] (optional), add float [B, N, T']
//                (optional)                                             -> float [B, N, T']
//
// `scales` turn sums of whole-number weights into real numbers; they are 1 for other weights.
//
// The geometry is: stride and dilation of the input, zeros before and behind it, then what makes a
// transposed convolution of a plain one: each position has `up` results, of all of which so many at
// the front and so many at the end are left out. Row n * up + r of the weights makes result r of a
// position of channel n.

#include "convolution.h"

#include <algorithm>
#include <vector>

#include "../runtime.h"
#include "snake.h"

namespace native {
namespace {

using convolution::kPanel;
using convolution::kPositions;

constexpr int64_t kWindowFloats = 65536;  // of a piece, about: it stays in a core's own cache
constexpr int64_t kFewPieces = 16;        // fewer are cut by channels too, so that all threads work

struct Work {
  convolution::Run run;
  const float *x, *weight, *scales, *bias, *alpha, *inverse, *add;
  float* y;
  int64_t channels, samples, results, length;  // of the input, of the result
  int64_t taps, stride, dilation, before, up, trim, positions, panels;
  int64_t piece_positions, pieces, cuts;
  const int64_t* offsets;
  int64_t phase, row;  // floats of a phase, and of a channel, in a window
};

// Channel c from `first` of the input on, with zeros around it; every stride-th value beside the
// next, so that taps read neighbours.
void fill_row(const Work& w, const float* x, int64_t c, int64_t first, float* room, float* row) {
  const int64_t wanted = w.phase * w.stride;
  const int64_t from = std::min(wanted, std::max<int64_t>(0, -first));
  const int64_t to = std::max(from, std::min(wanted, w.samples - first));
  float* plain = w.stride == 1 ? row : room;
  std::fill(plain, plain + from, 0.0f);
  std::fill(plain + to, plain + wanted, 0.0f);
  const float* source = x + c * w.samples + first + from;
  if (w.alpha) {
    snake(source, plain + from, static_cast<size_t>(to - from), w.alpha[c], w.inverse[c]);
  } else {
    std::copy(source, source + (to - from), plain + from);
  }
  if (w.stride == 1) return;
  for (int64_t r = 0; r < w.stride; ++r) {
    for (int64_t i = 0; i < w.phase; ++i) row[r * w.phase + i] = room[i * w.stride + r];
  }
}

// What a tile found, to where it belongs: at positions from `first` on.
void store(const Work& w, const float* sums, int64_t batch, int64_t panel, int64_t first) {
  const int64_t n = std::min(kPositions, w.positions - first);
  const int64_t rows = std::min(kPanel, w.results * w.up - panel * kPanel);
  for (int64_t r = 0; r < rows; ++r, sums += kPositions) {
    const int64_t line = panel * kPanel + r, channel = line / w.up;
    const int64_t at = (batch * w.results + channel) * w.length;
    const float bias = w.bias[channel], scale = w.scales[channel];
    float* y = w.y + at;
    if (w.up > 1) {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t sample = (first + i) * w.up + line % w.up - w.trim;
        if (sample >= 0 && sample < w.length) y[sample] = sums[i] * scale + bias;
      }
      continue;
    }
    for (int64_t i = 0; i < n; ++i) y[first + i] = sums[i] * scale + bias;
    if (!w.add) continue;
    for (int64_t i = 0; i < n; ++i) y[first + i] += w.add[at + first + i];
  }
}

void piece(void* shared, size_t number) {
  const Work& w = *static_cast<const Work*>(shared);
  static thread_local std::vector<float> window, room;
  const int64_t whole = static_cast<int64_t>(number) / w.cuts;
  const int64_t cut = static_cast<int64_t>(number) % w.cuts;
  const int64_t batch = whole / w.pieces, first = whole % w.pieces * w.piece_positions;
  if (window.size() < static_cast<size_t>(w.channels * w.row)) window.resize(w.channels * w.row);
  if (room.size() < static_cast<size_t>(w.row)) room.resize(w.row);
  const float* x = w.x + batch * w.channels * w.samples;
  for (int64_t c = 0; c < w.channels; ++c) {
    fill_row(w, x, c, first * w.stride - w.before, room.data(), window.data() + c * w.row);
  }
  alignas(64) float sums[kPanel * kPositions];
  convolution::Tile tile{0, nullptr, w.row, w.channels, w.taps, w.offsets, nullptr, sums};
  const int64_t last = std::min(first + w.piece_positions, w.positions);
  const int64_t end = (cut + 1) * w.panels / w.cuts;
  for (int64_t panel = cut * w.panels / w.cuts; panel < end; ++panel) {
    tile.panel = w.weight + panel * w.channels * w.taps * kPanel;
    for (int64_t position = first; position < last; position += kPositions) {
      tile.positions = std::min(kPositions, last - position);
      tile.window = window.data() + (position - first);
      w.run(tile);
      store(w, sums, batch, panel, position);
    }
  }
}

void compute(Table api, int, void* context) {
  static const convolution::Kernel kernel = convolution::kernel();
  const Tensor x = input(api, context, 0), weight = input(api, context, 1);
  const Tensor bias = input(api, context, 3);
  const auto* geometry = static_cast<const int32_t*>(input(api, context, 4).data);
  const auto floats = [&](size_t i) { return static_cast<const float*>(input(api, context, i).data); };
  Work w{};
  w.run = kernel.run;
  w.x = static_cast<const float*>(x.data);
  w.weight = static_cast<const float*>(weight.data);
  w.bias = static_cast<const float*>(bias.data);
  w.scales = floats(2);
  w.alpha = floats(5);
  w.inverse = floats(6);
  w.add = floats(7);
  w.channels = x.dims[1];
  w.samples = x.dims[2];
  w.results = bias.dims[0];
  w.panels = weight.dims[0];
  w.taps = weight.dims[2];
  w.stride = geometry[0];
  w.dilation = geometry[1];
  w.before = geometry[2];
  w.up = geometry[4];
  w.trim = geometry[5];
  const int64_t reach = (w.taps - 1) * w.dilation;
  const int64_t spare = w.samples + w.before + geometry[3] - reach - 1;
  w.positions = spare < 0 ? 0 : spare / w.stride + 1;
  w.length = std::max<int64_t>(0, w.positions * w.up - w.trim - geometry[6]);
  const int64_t dims[] = {x.dims[0], w.results, w.length};
  w.y = static_cast<float*>(output(api, context, dims));
  if (x.dims[0] * w.results * w.length == 0) return;
  const int64_t fitting = kWindowFloats / (w.channels * w.stride) - reach / w.stride;
  w.piece_positions = std::max(2 * kPositions, fitting / kPositions * kPositions);
  w.pieces = (w.positions + w.piece_positions - 1) / w.piece_positions;
  const int64_t wholes = x.dims[0] * w.pieces;
  w.cuts = std::min(w.panels, (kFewPieces + wholes - 1) / wholes);
  const int64_t most = (w.positions + kPositions - 1) / kPositions * kPositions;
  w.phase = std::min(w.piece_positions, most) + reach / w.stride + 1;
  w.row = w.phase * w.stride;
  std::vector<int64_t> offsets(static_cast<size_t>(w.taps));
  for (int64_t k = 0; k < w.taps; ++k) {
    const int64_t at = k * w.dilation;
    offsets[k] = at % w.stride * w.phase + at / w.stride;
  }
  w.offsets = offsets.data();
  parallel_for(api, context, &piece, static_cast<size_t>(wholes * w.cuts), &w, Share::kFree);
}

}  // namespace

std::vector<Op> convolution_ops() {
  return {make("Convolution", {kFloat, kFloat, kFloat, kFloat, kInt32, kFloat, kFloat, kFloat},
               kFloat, compute, 0, 3)};
}

}  // namespace native
