// SPDX-License-Identifier: Apache-2.0
#include "ops/loops.h"

namespace tutti {

Dims broadcast_strides(const Tensor& tensor, const Dims& shape) {
  Dims strides = Dims::filled(shape.rank(), 0);
  const int missing = shape.rank() - tensor.rank();
  for (int axis = 0; axis < tensor.rank(); ++axis)
    if (tensor.shape[axis] != 1) strides[missing + axis] = tensor.strides[axis];
  return strides;
}

int64_t offset_at(int64_t flat, const Dims& shape, const Dims& strides) {
  int64_t offset = 0;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    offset += flat % shape[axis] * strides[axis];
    flat /= shape[axis];
  }
  return offset;
}

int axis_to_split(const Dims& shape, int threads, int excluded) {
  int longest = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis == excluded) continue;
    if (shape[axis] >= int64_t{4} * threads) return axis;
    if (longest < 0 || shape[axis] > shape[longest]) longest = axis;
  }
  return longest;
}

void copy_tensor(cpu::Pool& pool, const Tensor& from, const Tensor& to) {
  Dims shape = from.shape;
  std::array<Dims, 2> strides{from.strides, to.strides};
  collapse(shape, strides);
  with_word(from.dtype, [&](auto word) {
    using Word = decltype(word);
    parallel_pieces(pool, shape, strides, -1, [&](const Dims& part, const auto& start) {
      const Word* source = from.as<const Word>() + start[0];
      Word* target = to.as<Word>() + start[1];
      for_each_row(part, strides, [&](const auto& at, int64_t n, const auto& steps) {
        copy_row(source + at[0], steps[0], target + at[1], steps[1], n);
      });
    });
  });
}

}  // namespace tutti
