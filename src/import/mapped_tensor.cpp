// SPDX-License-Identifier: Apache-2.0
#include "import/mapped_tensor.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace tutti {
namespace {

// Nothing when a or b is negative or the result does not fit.
std::optional<int64_t> times(int64_t a, int64_t b) {
  int64_t product;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<int64_t> plus(int64_t a, int64_t b) {
  int64_t sum;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

bool all_are_booleans(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b <= std::byte{1}; });
}

}  // namespace

std::optional<StorageView> contiguous_view(DType dtype, const Dims& shape) {
  // Empty dimensions count as 1, so that strides fit as well.
  std::optional<int64_t> bytes = static_cast<int64_t>(size_of(dtype));
  for (int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    bytes = times(*bytes, std::max<int64_t>(extent, 1));
    if (!bytes) return std::nullopt;
  }
  return StorageView{dtype, shape, contiguous_strides(shape), 0};
}

std::optional<uint64_t> bytes_spanned(const StorageView& view) {
  std::optional<int64_t> last = view.offset;
  bool empty = false;
  if (!contiguous_view(view.dtype, view.shape) || view.strides.rank() != view.shape.rank())
    return std::nullopt;
  for (int i = 0; i < view.shape.rank(); ++i) {
    empty = empty || view.shape[i] == 0;
    const auto reach = times(std::max<int64_t>(view.shape[i] - 1, 0), view.strides[i]);
    if (reach) last = plus(*last, *reach);
    if (!reach || !last) return std::nullopt;
  }
  const auto end = plus(*last, 1);
  const auto bytes = end ? times(*end, static_cast<int64_t>(size_of(view.dtype))) : std::nullopt;
  if (!bytes) return std::nullopt;
  return empty ? 0 : static_cast<uint64_t>(*bytes);
}

Tensor tensor_in_file(const std::shared_ptr<const MappedFile>& file,
                      std::span<const std::byte> storage, const StorageView& view,
                      std::string_view name) {
  const auto bytes = bytes_spanned(view);
  require(bytes && *bytes <= storage.size(), Errc::corrupt, file->path(), ": ", name, ": ",
          describe(view.dtype, view.shape), " with strides ", view.strides, " from element ",
          view.offset, " does not lie in its ", storage.size(), " bytes");
  if (*bytes == 0) return Tensor::zeros(view.dtype, view.shape);
  storage = storage.first(*bytes);
  require(view.dtype != DType::boolean || all_are_booleans(storage), Errc::corrupt, file->path(),
          ": ", name, ": has booleans that are neither 0 nor 1");
  Tensor tensor;
  tensor.dtype = view.dtype;
  tensor.shape = view.shape;
  tensor.strides = view.strides;
  const size_t size = size_of(view.dtype);
  if (reinterpret_cast<uintptr_t>(storage.data()) % size == 0) {
    // Tensors have no read-only form: writing through this one would fault, so nobody may.
    tensor.data = const_cast<std::byte*>(storage.data());
    tensor.owner = std::const_pointer_cast<MappedFile>(file);
  } else {
    const Tensor copy = Tensor::zeros(DType::u8, {static_cast<int64_t>(storage.size())});
    std::memcpy(copy.data, storage.data(), storage.size());
    tensor.data = copy.data;
    tensor.owner = copy.owner;
  }
  tensor.data = static_cast<std::byte*>(tensor.data) + static_cast<size_t>(view.offset) * size;
  return tensor;
}

}  // namespace tutti
