// Rows times packed weights, in 8 bits or in bfloat16, with float32 results.
//
// Weights lie in panels of 64 columns, [columns / 64][depth][64][bytes of a word], zeros behind the
// last: a word of 4 bytes holds 4 rows of the matrix in int8, or 2 in bfloat16. So they are stored
// in the model, and so every kernel reads them: nothing is packed when a session opens.
// Integer sums are exact, and the same on every processor. A row's range of 8 bits is that of the
// whole row, or each of its blocks has its own: their sums are then added as real numbers.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "../cpu.h"

namespace product {

constexpr int64_t kPanel = 64;     // columns of a panel
constexpr int64_t kWord = 4;       // bytes of a word
constexpr int64_t kTileRows = 6;   // rows of a register tile; work is cut in multiples of them

// One panel's product. What is of columns starts with the panel's first.
struct Job {
  const char* rows;    // the first row's words, `row_bytes` from one to the next
  int64_t row_bytes;
  const char* panel;
  int64_t depth;       // words of a row
  int64_t n_rows, columns;
  int64_t blocks, block_words;  // of a row; the last may hold fewer words
  const int32_t* zeros;       // [row, block]; integers alone
  const float* row_scales;    // the same
  const int32_t* sums;        // of a block's weights, `stride` from one block to the next; the same
  const float* scales;        // of each column; the same
  const float* bias;
  const float* add;    // what is added to the result, laid out like it; may be null
  float* out;
  int64_t stride;      // columns of the whole result
  const char* next;    // a panel to bring near meanwhile; may be null
};

using Kernel = void (*)(const Job&);

// The next panel on its way from memory, a part with each of `steps`: the lines that a kernel reads
// of its own are too far from each other to be foreseen.
class Ahead {
 public:
  Ahead(const Job& j, int64_t steps)
      : at_(j.next), left_(j.next ? j.depth * kPanel * kWord / kLine : 0),
        share_((left_ + steps - 1) / steps) {}
  __attribute__((always_inline)) void step() {
    const int64_t lines = std::min(share_, left_);
    for (int64_t i = 0; i < lines; ++i) __builtin_prefetch(at_ + i * kLine, 0, 2);
    at_ += lines * kLine;
    left_ -= lines;
  }

 private:
  static constexpr int64_t kLine = 64;  // bytes of a cache line
  const char* at_;
  int64_t left_, share_;
};

// The words of a row or of a block of it, and for integers its scale and zero point.
using Quantize = void (*)(const float* x, int64_t n, int64_t depth, char* words, float* scale,
                          int32_t* zero);

struct Kernels {
  Kernel run;
  Quantize quantize;
  const char* name;
  int64_t row_word = kWord;  // bytes that a word of the weights meets in a row
  int64_t near_bytes = 0;    // of rows that a piece of work may go through again and again; 0: any
};

// The words of one block of a row.
struct Words {
  int64_t first, end;
};

inline Words words_of(const Job& j, int64_t block) {
  return {block * j.block_words, std::min((block + 1) * j.block_words, j.depth)};
}

// Real numbers are scale * (stored - zero): 0 and the extremes of the row are among them.
inline void scale_of(float low, float high, float* scale, int32_t* zero) {
  const float step = (high - low) / 255.0f;
  *scale = step > 0.0f ? step : 1.0f;
  // A row that is not finite has no zero point; its scale says so in the results.
  *zero = std::isfinite(step) ? static_cast<int32_t>(std::nearbyint(-low / *scale)) : 0;
  if (!(step >= 0.0f)) *scale = step;
}

namespace portable {

inline void quantize_bytes(const float* x, int64_t n, int64_t depth, char* words, float* scale,
                           int32_t* zero) {
  float low = 0.0f, high = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] != x[i]) high = x[i];
  }
  scale_of(low, high, scale, zero);
  const float rate = 1.0f / *scale;
  auto* bytes = reinterpret_cast<uint8_t*>(words);
  for (int64_t i = 0; i < n; ++i) {
    const float value = std::nearbyint(x[i] * rate) + static_cast<float>(*zero);
    bytes[i] = static_cast<uint8_t>(value > 0.0f ? (value < 255.0f ? value : 255.0f) : 0.0f);
  }
  std::memset(bytes + n, 0, depth * kWord - n);
}

inline void finish(const Job& j, int64_t row, int64_t column, float value) {
  const int64_t at = row * j.stride + column;
  j.out[at] = value + j.bias[column] + (j.add ? j.add[at] : 0.0f);
}

inline void run_bytes(const Job& j) {
  for (int64_t row = 0; row < j.n_rows; ++row) {
    float totals[kPanel] = {};
    const auto* x = reinterpret_cast<const uint8_t*>(j.rows + row * j.row_bytes);
    const auto* w = reinterpret_cast<const int8_t*>(j.panel);
    for (int64_t block = 0, at = row * j.blocks; block < j.blocks; ++block, ++at) {
      int32_t sums[kPanel] = {};
      const Words words = words_of(j, block);
      for (int64_t k = words.first; k < words.end; ++k, x += kWord) {
        for (int64_t c = 0; c < kPanel; ++c, w += kWord) {
          sums[c] += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
        }
      }
      for (int64_t c = 0; c < j.columns; ++c) {
        const int32_t whole = sums[c] - j.zeros[at] * j.sums[block * j.stride + c];
        totals[c] += static_cast<float>(whole) * j.row_scales[at];
      }
    }
    for (int64_t c = 0; c < j.columns; ++c) finish(j, row, c, totals[c] * j.scales[c]);
  }
}

}  // namespace portable

// The kernels of this processor.
Kernels byte_kernels();
Kernels half_kernels();

}  // namespace product
