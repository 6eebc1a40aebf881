// Snake, for every operator that has one in it.

#pragma once

#include <cstddef>

namespace native {

// y = x + inverse * sin(alpha x)^2; both may be the same memory.
void snake(const float* x, float* y, size_t n, float alpha, float inverse);

}  // namespace native
