// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "import/named_tensor.h"

namespace tutti {

/// The array of a .npy file (format 1 to 3, little-endian, C or Fortran order), mapped in place
/// when it is aligned. f64, f32, f16, i64, i32, i16, i8, u8 and bool are read.
///
/// Throws corrupt when the bytes contradict the format, unsupported for other element types, big
/// endian numbers and more dimensions than a Dims holds.
Tensor read_npy(const std::shared_ptr<const MappedFile>& file);

/// The arrays of a .npz file in its order, without the ".npy" of their names.
///
/// As read_npy; throws unsupported for what numpy.savez_compressed wrote.
std::vector<NamedTensor> read_npz(const std::shared_ptr<const MappedFile>& file);

/// Writes format 1.0 in C order. Throws invalid_argument for element types numpy lacks (bf16, f8).
void write_npy(const std::string& path, const Tensor& tensor);

/// Writes each tensor as NAME.npy, stored. Throws like write_npy, and for names that occur twice.
void write_npz(const std::string& path, std::span<const NamedTensor> tensors);

}  // namespace tutti
