// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/mapped_file.h"
#include "tutti/tensor.h"

namespace tutti {

/// Where the elements of a tensor lie in a stretch of a file: strides and offset in elements.
struct StorageView {
  DType dtype = DType::f32;
  Dims shape;
  Dims strides;
  int64_t offset = 0;
};

/// Row-major without gaps from the first byte on; nothing when the shape is negative or its bytes
/// do not fit 63 bits.
std::optional<StorageView> contiguous_view(DType dtype, const Dims& shape);

/// The bytes of storage that the view reaches into, from the first on; 0 for an empty tensor.
/// Nothing when an extent, a stride or the offset is negative or the number does not fit 63 bits.
std::optional<uint64_t> bytes_spanned(const StorageView& view);

/// A read-only tensor over `storage`, which lies in `file`; the tensor keeps the file mapped.
///
/// Nothing is copied when the elements are aligned to their size, else `storage` is. Throws
/// corrupt, naming the file and `name`, when the view leaves the storage or a boolean is neither 0
/// nor 1.
Tensor tensor_in_file(const std::shared_ptr<const MappedFile>& file,
                      std::span<const std::byte> storage, const StorageView& view,
                      std::string_view name);

}  // namespace tutti
