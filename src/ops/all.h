// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "ir/op.h"

namespace tutti {

/// The table of all operators: one row for each struct, and one for each elementwise function.
std::span<const OpDef> all_ops();

/// The operator of that name and attributes; throws not_found with the nearest names.
Op make_op(std::string_view name, const Attributes& attributes);

}  // namespace tutti
