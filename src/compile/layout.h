// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/graph.h"

namespace tutti {

/// The strides in which a step had best leave a value that has no place of its own yet: such that
/// a permutation that is its only user becomes contiguous (heads of attention beside each other),
/// else contiguous.
///
/// users  how often each value is used, and by which node when by one alone: see single_users
Dims preferred_strides(const Function& f, const std::vector<int32_t>& users, ValueId id);

/// By value: the index of the only node that uses it; kNone when there is none or more, or when it
/// is a result of the function.
std::vector<int32_t> single_users(const Function& f);

}  // namespace tutti
