// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "import/lowering.h"

namespace tutti::pt2 {

// Views of x by the arguments of aten.slice, select and diagonal.

/// dim, start, end, step
Ref slice_view(Lowering& l, Ref x, const Args& a);
/// dim, index
Ref select_view(Lowering& l, Ref x, const Args& a);
/// offset, dim1, dim2
Ref diagonal_view(Lowering& l, Ref x, const Args& a);

/// The diagonal `offset` of two axes as a last axis.
Ref diagonal_of(Lowering& l, Ref x, int64_t offset, int64_t row, int64_t column);

}  // namespace tutti::pt2
