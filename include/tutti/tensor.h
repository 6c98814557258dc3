// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tutti {

/// Element type of a tensor. Complex numbers are a trailing dimension of 2.
enum class DType : uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  i64,
  i32,
  i16,
  i8,
  u8,
  boolean
};

/// Number of element types; their values are 0 to kDTypeCount - 1.
inline constexpr int kDTypeCount = 12;

/// Bytes of one element.
constexpr size_t size_of(DType t) {
  constexpr size_t kBytes[kDTypeCount] = {8, 4, 2, 2, 1, 1, 8, 4, 2, 1, 1, 1};
  return kBytes[static_cast<int>(t)];
}

/// True for f64, f32, f16, bf16 and the two f8 types.
constexpr bool is_float(DType t) { return t <= DType::f8_e5m2; }

/// True for i64, i32, i16, i8 and u8; boolean is no integer.
constexpr bool is_integer(DType t) { return t >= DType::i64 && t <= DType::u8; }

/// The name of a type: "f32", "bf16", "f8_e4m3", "i64", "bool", ...
std::string_view to_string(DType t);

/// The type of that name, or nothing.
std::optional<DType> parse_dtype(std::string_view name);

/// A short list of extents or strides, kept inline: at most kMaxRank numbers.
class Dims {
 public:
  /// The longest there can be.
  static constexpr int kMaxRank = 8;

  /// No number, or those given.
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  /// Throws invalid_argument when there are more than kMaxRank values.
  explicit Dims(std::span<const int64_t> values);
  /// `rank` times `value`.
  static Dims filled(int rank, int64_t value);

  /// The numbers, as a standard container gives them.
  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  int64_t& operator[](int i) { return values_[i]; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + rank_; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + rank_; }
  int64_t back() const { return values_[rank_ - 1]; }
  operator std::span<const int64_t>() const { return {values_, static_cast<size_t>(rank_)}; }

  /// Longer and shorter lists; throws invalid_argument when the list is full.
  void push_back(int64_t value);
  void insert(int at, int64_t value);
  void erase(int at);

  /// True when length and all numbers are equal.
  friend bool operator==(const Dims& a, const Dims& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  int64_t values_[kMaxRank] = {};
  int rank_ = 0;
};

/// "[2, 77]"
std::string to_string(const Dims& dims);

/// Product of the extents; 1 for rank 0.
int64_t elements(const Dims& shape);

/// Row-major strides in elements.
Dims contiguous_strides(const Dims& shape);

/// A strided array in host memory. Copies share the memory; `owner` keeps it alive, when there is
/// one.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  Dims shape;
  Dims strides;  ///< in elements; may be 0 (broadcast) or negative
  std::shared_ptr<void> owner;

  /// Owned, contiguous, zero-filled, aligned to 64 bytes.
  static Tensor zeros(DType dtype, const Dims& shape);
  /// Borrows contiguous memory that must outlive the tensor.
  static Tensor borrow(void* data, DType dtype, const Dims& shape);

  /// Numbers of dimensions and elements.
  int rank() const { return shape.rank(); }
  int64_t elements() const { return tutti::elements(shape); }
  /// Row-major without gaps. Extents of 1 may have any stride.
  bool is_contiguous() const;
  /// Bytes of a contiguous tensor of this type and shape.
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype); }

  /// The elements as the C++ type T; nothing is checked.
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// An owned, contiguous tensor with the same elements.
Tensor contiguous(const Tensor& tensor);

/// An owned, contiguous tensor of another element type, converted as PyTorch's `Tensor.to` does.
Tensor cast(const Tensor& tensor, DType dtype);

/// "f32[2, 77]"
std::string describe(DType dtype, const Dims& shape);

/// Tensors by name: what a run takes and gives, and what a file holds.
using TensorMap = std::map<std::string, Tensor, std::less<>>;

/// Reads all tensors of a .npy, .npz or .safetensors file; they are read-only and keep it mapped.
///
/// The one tensor of NAME.npy is called NAME. Throws invalid_argument for another extension,
/// not_found and corrupt naming the file and what is wrong.
TensorMap load_tensors(const std::string& path);

/// Writes tensors to a .npy (one tensor), .npz or .safetensors file, whole or not at all.
void save_tensors(const std::string& path, const TensorMap& tensors);

}  // namespace tutti
