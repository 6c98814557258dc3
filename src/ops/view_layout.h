// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "ops/views.h"

namespace tutti {

/// True for operators whose output may be another look at their input's memory: reshape, permute,
/// expand, slice, unfold.
bool is_view(const Op& op);

/// The output of a view operator as a strided tensor over the memory of `in` (whose data may be
/// null: then offsets are lost, see view_offset), or nothing when strides cannot say it.
struct ViewLayout {
  Dims shape, strides;
  int64_t offset = 0;  ///< in elements from in's first
};
std::optional<ViewLayout> view_layout(const Op& op, const Dims& shape, const Dims& strides);

// The same for one operator whose layout strides can always say.
ViewLayout view_layout(const Permute& op, const Dims& shape, const Dims& strides);
ViewLayout view_layout(const Expand& op, const Dims& shape, const Dims& strides);
ViewLayout view_layout(const Slice& op, const Dims& shape, const Dims& strides);
ViewLayout view_layout(const Unfold& op, const Dims& shape, const Dims& strides);

/// The strides of a row-major reshape over the same memory, or nothing.
std::optional<Dims> reshape_strides(const Dims& shape, const Dims& strides, const Dims& to);

}  // namespace tutti
