// One head's part of an attention, as every kernel takes it.

#pragma once

#include <cstdint>

namespace attention {

struct Head {
  const float *q, *k, *v, *bias;  // bias of the first query and key; the next query's lies before
  float* out;
  int64_t rows, keys, size;  // queries of this piece, keys, channels of a head
  int64_t stride;            // channels of all heads: the distance of two frames
  float scale;
};

}  // namespace attention
