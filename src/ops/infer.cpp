// SPDX-License-Identifier: Apache-2.0
#include "ops/infer.h"

namespace tutti {

void require_operands(Types in, size_t least, size_t most) {
  if (least == most)
    require_argument(in.size() == least, in.size(), " operands; ", least, " are wanted");
  else
    require_argument(in.size() >= least && in.size() <= most, in.size(), " operands; ", least,
                     " to ", most, " are wanted");
}

void require_rank(std::string_view name, const TensorType& type, int least, int most) {
  if (type.rank() >= least && type.rank() <= most) return;
  if (least == most)
    fail(Errc::invalid_argument, name, " is ", type, "; rank ", least, " is wanted");
  fail(Errc::invalid_argument, name, " is ", type, "; rank ", least, " to ", most, " is wanted");
}

void require_dtype(std::string_view name, const TensorType& type, DType wanted) {
  require_argument(type.dtype == wanted, name, " is ", type, "; ", wanted, " is wanted");
}

void require_float(std::string_view name, const TensorType& type) {
  require_argument(is_float(type.dtype), name, " is ", type, "; a float type is wanted");
}

void require_number(std::string_view name, const TensorType& type) {
  require_argument(type.dtype != DType::boolean, name, " is ", type,
                   "; a float or integer type is wanted");
}

void require_index(std::string_view name, const TensorType& type) {
  require_argument(type.dtype == DType::i64 || type.dtype == DType::i32, name, " is ", type,
                   "; i64 or i32 is wanted");
}

void require_axis(int64_t axis, std::string_view name, const TensorType& type) {
  require_argument(axis >= 0 && axis < type.rank(), "axis ", axis, " of ", name, ", which is ",
                   type, "; 0 <= axis < ", type.rank(), " is wanted");
}

void require_axes(const std::vector<int64_t>& axes, std::string_view name, const TensorType& type) {
  for (size_t i = 0; i < axes.size(); ++i) {
    require_axis(axes[i], name, type);
    require_argument(i == 0 || axes[i - 1] < axes[i], "axes are [", join_list(axes),
                     "]; ascending ones are wanted");
  }
}

void require_list(std::string_view name, const std::vector<int64_t>& list, int size,
                  int64_t least) {
  bool good = list.size() == static_cast<size_t>(size);
  for (int64_t value : list) good = good && value >= least;
  require_argument(good, name, " is [", join_list(list), "]; ", size, " numbers of at least ",
                   least, " are wanted");
}

Dim same_extent(const Dim& wanted, std::string_view name, const TensorType& type, int axis) {
  const Dim& found = type.shape[static_cast<size_t>(axis)];
  if (wanted.is_constant() && found.is_constant())
    require_argument(wanted == found, name, " is ", type, "; extent ", wanted, " of axis ", axis,
                     " is wanted");
  return wanted.is_constant() ? wanted : found.is_constant() ? found : wanted;
}

Shape broadcast_to(Shape shape, std::string_view name, const TensorType& type) {
  const size_t rank = shape.size(), found = type.shape.size();
  require_argument(found <= rank, name, " is ", type, "; what broadcasts to ", shape, " is wanted");
  for (size_t i = 0; i < found; ++i) {
    const Dim& from = type.shape[i];
    Dim& to = shape[rank - found + i];
    if (from == Dim(1) || from == to) continue;
    require_argument(!from.is_constant() || !to.is_constant(), name, " is ", type,
                     "; what broadcasts to ", shape, " is wanted");
    if (from.is_constant()) to = from;
  }
  return shape;
}

}  // namespace tutti
