// SPDX-License-Identifier: Apache-2.0
#include "tutti/tensor.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/dispatch.h"
#include "core/error.h"
#include "core/strided.h"

namespace tutti {

Dims::Dims(std::span<const int64_t> values) {
  require_argument(values.size() <= kMaxRank, "a shape of ", values.size(), " dimensions; at most ",
                   kMaxRank, " are supported");
  for (int64_t value : values) values_[rank_++] = value;
}

Dims Dims::filled(int rank, int64_t value) {
  Dims dims;
  for (int i = 0; i < rank; ++i) dims.push_back(value);
  return dims;
}

void Dims::push_back(int64_t value) { insert(rank_, value); }

void Dims::insert(int at, int64_t value) {
  require_argument(rank_ < kMaxRank, "a shape of more than ", kMaxRank, " dimensions");
  for (int i = rank_; i > at; --i) values_[i] = values_[i - 1];
  values_[at] = value;
  ++rank_;
}

void Dims::erase(int at) {
  for (int i = at; i + 1 < rank_; ++i) values_[i] = values_[i + 1];
  --rank_;
}

std::string to_string(const Dims& dims) { return "[" + join_list(dims) + "]"; }

int64_t elements(const Dims& shape) {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

Dims contiguous_strides(const Dims& shape) {
  Dims strides = Dims::filled(shape.rank(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<int64_t>(shape[i + 1], 1);
  return strides;
}

std::string describe(DType dtype, const Dims& shape) { return join(dtype, shape); }

Tensor Tensor::zeros(DType dtype, const Dims& shape) {
  Tensor t;
  t.dtype = dtype;
  t.shape = shape;
  t.strides = contiguous_strides(shape);
  const size_t bytes = (std::max<size_t>(t.bytes(), 1) + 63) / 64 * 64;
  void* memory = std::aligned_alloc(64, bytes);
  require(memory != nullptr, Errc::device, "no memory for ", describe(dtype, shape), ", ",
          bytes_text(bytes));
  std::memset(memory, 0, bytes);
  t.owner.reset(memory, std::free);
  t.data = memory;
  return t;
}

Tensor Tensor::borrow(void* data, DType dtype, const Dims& shape) {
  return {data, dtype, shape, contiguous_strides(shape), nullptr};
}

bool Tensor::is_contiguous() const {
  int64_t expected = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

Tensor contiguous(const Tensor& tensor) { return cast(tensor, tensor.dtype); }

Tensor cast(const Tensor& tensor, DType dtype) {
  Tensor out = Tensor::zeros(dtype, tensor.shape);
  copy_strided(tensor.shape, tensor.data, tensor.dtype, tensor.strides, out.data, dtype,
               out.strides);
  return out;
}

}  // namespace tutti
